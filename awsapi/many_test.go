package awsapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func manyParts(n int, form string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, form, i+1)
	}
	return b.String()
}

func manyQueries(id *Identifier) error {
	query := "/acme-dev/k?" + strings.TrimSuffix(manyParts(11_000, "%x&"), "&")
	_, err := id.Head(Request{Method: http.MethodGet, Host: "s3.us-east-1.amazonaws.com", Target: query, Header: http.Header{}})
	return err
}

func manyGroups(id *Identifier) error {
	groups := "Action=RunInstances&Version=2016-11-15" + manyParts(maxPairs-10, "&SecurityGroupId.%[1]d=sg-%08[1]x")
	h, err := id.Head(Request{Method: http.MethodPost, Host: "ec2.us-east-1.amazonaws.com", Target: "/", ContentLength: int64(len(groups)),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}})
	if err == nil {
		_, err = h.Call([]byte(groups))
	}
	return err
}

// Requests of thousands of small parts are judged as others are.
func TestManyParts(t *testing.T) {
	id, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if manyQueries(id) == nil {
		t.Error("it is no call of S3's")
	}
	if err := manyGroups(id); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(unite([]int{1, 2}, []int{2, 3, 3}), unite([]int{1}, upTo(20)), unite[int](nil, nil)); got != "[1 2 3] [1 0 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19] []" {
		t.Error(got)
	}
}

// BenchmarkManyParts judges requests of 60 KB and more in thousands of small parts. What it
// takes grows with their length: comparing each part with each other took more than a
// second, and a few of them at once took the gateway from everybody.
func BenchmarkManyParts(b *testing.B) {
	id, err := New()
	if err != nil {
		b.Fatal(err)
	}
	for name, ask := range map[string]func(*Identifier) error{"query of S3": manyQueries, "resources": manyGroups} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_ = ask(id) // of S3 it is no call
			}
		})
	}
}

// A call may not name more than can be judged.
func TestTooManyResources(t *testing.T) {
	id, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for n, refused := range map[int]bool{20: false, maxResources + 1: true} {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf("%q", fmt.Sprint("s", i))
		}
		body := `{"SecretIdList":[` + strings.Join(names, ",") + `]}`
		h, err := id.Head(Request{Method: http.MethodPost, Host: "secretsmanager.us-east-1.amazonaws.com", Target: "/", Account: "111122223333", ContentLength: int64(len(body)),
			Header: http.Header{"X-Amz-Target": {"secretsmanager.BatchGetSecretValue"}, "Content-Type": {"application/x-amz-json-1.1"}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Call([]byte(body)); (err != nil) != refused || refused && !strings.Contains(err.Error(), "split it") {
			t.Errorf("%d: %v", n, err)
		}
	}
}

func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
