package gateway

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approvals"
	"github.com/sallyport/sallyport/policy"
)

// silent is people who do not answer.
type silent struct{ Approvals }

func (silent) Wait(ctx context.Context, _, _ string) (approvals.Record, error) {
	<-ctx.Done()
	return approvals.Record{}, ctx.Err()
}

// botocore is kept waiting with 100 Continue and nothing else; other clients, some of
// which fail on it, hear nothing. The final status stays free.
func TestHeartbeats(t *testing.T) {
	h := &handler{Gateway: &Gateway{Config: Config{Approvals: silent{}, Hold: 100 * time.Millisecond}, beat: 10 * time.Millisecond}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := h.hold(r.Context(), &exchange{w: w, r: r}, approvals.Record{}); err == nil {
			t.Error("an answer came")
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer srv.Close()
	for agent, want := range map[string]bool{
		"aws-cli/1.42.1 md/Botocore#1.40.1 ua/2.1 os/linux": true,
		"aws-cli/2.9.19 Python/3.11 Linux/6.1":              true,
		"Boto3/1.40.1 md/Botocore#1.40.1":                   true,
		"aws-sdk-go-v2/1.36 ua/2.1 os/linux":                false,
		"rclone/v1.60.1":                                    false,
		"S3cmd/2.3.0":                                       false,
		"aws-sdk-js/3.0 ua/2.1":                             false,
		"MinIO (linux; amd64) minio-go/v7.0.50 mc/RELEASE":  false,
		"curl/8.5": false,
		"":         false,
	} {
		var beats, others atomic.Int32
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			if code == http.StatusContinue {
				beats.Add(1)
			} else {
				others.Add(1)
			}
			return nil
		}})
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("User-Agent", agent)
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if (beats.Load() > 0) != want || others.Load() > 0 || resp.StatusCode != http.StatusForbidden {
			t.Errorf("%q: %d times 100, %d others, then %d", agent, beats.Load(), others.Load(), resp.StatusCode)
		}
	}
}

// Where people are asked, only a leave that was taken for this very exchange lets it
// through.
func TestOnlyTheClaimantIsAllowed(t *testing.T) {
	asked := &policy.Decision{Effect: policy.Ask}
	claimed := approvals.Record{UsedBy: "x"}
	for name, test := range map[string]struct {
		x    exchange
		want bool
	}{
		"no decision":        {exchange{id: "x"}, false},
		"denied":             {exchange{id: "x", decision: &policy.Decision{}, ask: &ask{claimed: claimed}}, false},
		"allowed":            {exchange{id: "x", decision: &policy.Decision{Effect: policy.Allow}}, true},
		"asks":               {exchange{id: "x", decision: asked}, false},
		"asked":              {exchange{id: "x", decision: asked, ask: &ask{}}, false},
		"another's leave":    {exchange{id: "y", decision: asked, ask: &ask{claimed: claimed}}, false},
		"a leave of its own": {exchange{id: "x", decision: asked, ask: &ask{claimed: claimed}}, true},
		"the zero exchange":  {exchange{decision: asked, ask: &ask{}}, false},
	} {
		if got := test.x.allowed(); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
		if test.want {
			continue
		}
		if p, err := (&handler{}).permit(&test.x); err == nil || p != nil {
			t.Errorf("%s: a permit", name)
		}
	}
}
