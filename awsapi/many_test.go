package awsapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Requests of thousands of small parts are judged in a time that grows with their length:
// comparing each part with each other took more than a second for 60 KB, and a few of them
// at once took the gateway from everybody.
func TestManyParts(t *testing.T) {
	id, err := New()
	if err != nil {
		t.Fatal(err)
	}
	many := func(n int, form string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, form, i+1)
		}
		return b.String()
	}
	query := "/acme-dev/k?" + strings.TrimSuffix(many(11_000, "%x&"), "&")
	groups := "Action=RunInstances&Version=2016-11-15" + many(maxPairs-10, "&SecurityGroupId.%[1]d=sg-%08[1]x")
	limit := map[string]time.Duration{"query of S3": 50 * time.Millisecond, "resources": 400 * time.Millisecond} // a tenth of it is usual
	for name, ask := range map[string]func() error{
		"query of S3": func() error {
			_, err := id.Head(Request{Method: http.MethodGet, Host: "s3.us-east-1.amazonaws.com", Target: query, Header: http.Header{}})
			if err == nil {
				t.Error("it is no call of S3's")
			}
			return nil
		},
		"resources": func() error {
			h, err := id.Head(Request{Method: http.MethodPost, Host: "ec2.us-east-1.amazonaws.com", Target: "/", ContentLength: int64(len(groups)),
				Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}})
			if err == nil {
				_, err = h.Call([]byte(groups))
			}
			return err
		},
	} {
		least := time.Hour
		for range 3 {
			begin := time.Now()
			if err := ask(); err != nil {
				t.Fatal(name, err)
			}
			least = min(least, time.Since(begin))
		}
		if least > limit[name] {
			t.Errorf("%s: %s", name, least)
		}
	}
	if got := fmt.Sprint(unite([]int{1, 2}, []int{2, 3, 3}), unite([]int{1}, upTo(20)), unite[int](nil, nil)); got != "[1 2 3] [1 0 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19] []" {
		t.Error(got)
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
