package bus

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

var update = flag.Bool("update", false, "rewrite testdata/permissions.txt")

// subjects of the matrix: what the roles need, and what none may touch.
var subjects = []string{
	"sallyport.events.01J0000000000000000000000A.01J0000000000000000000000B.request",
	"sallyport.events.none.01J0000000000000000000000B.refused",
	"sallyport.events.>",
	"sallyport.approvals.pending.01J0000000000000000000000A",
	"sallyport.approvals.answer.01J0000000000000000000000A",
	"sallyport.approvals.answer.*",
	"sallyport.approvals.link",
	"sallyport.approvals.outcome.01J0000000000000000000000A",
	"sallyport.approvals.>",
	"sallyport.control.revoke",
	"sallyport.recorders.recorder",
	"sallyport.recorders.*",
	"sallyport.alarms.recorder",
	"sallyport.>",
	"other.subject",
	">",
	"_INBOX.gateway.x",
	"_INBOX.recorder.x",
	"_INBOX.approver.x",
	"_INBOX.operator.x",
	"_INBOX.>",
	"$SYS.>",
	"$SYS.REQ.SERVER.PING",
	"$SYS.REQ.ACCOUNT.PING",
	"$JS.API.INFO",
	"$JS.API.>",
	"$JS.API.STREAM.NAMES",
	"$JS.API.STREAM.LIST",
	"$JS.API.STREAM.INFO.SALLYPORT_EVENTS",
	"$JS.API.STREAM.INFO.SALLYPORT_APPROVALS",
	"$JS.API.STREAM.CREATE.SALLYPORT_EVENTS",
	"$JS.API.STREAM.CREATE.OTHER",
	"$JS.API.STREAM.UPDATE.SALLYPORT_EVENTS",
	"$JS.API.STREAM.DELETE.SALLYPORT_EVENTS",
	"$JS.API.STREAM.PURGE.SALLYPORT_EVENTS",
	"$JS.API.STREAM.SNAPSHOT.SALLYPORT_EVENTS",
	"$JS.API.STREAM.RESTORE.SALLYPORT_EVENTS",
	"$JS.API.STREAM.MSG.DELETE.SALLYPORT_EVENTS",
	"$JS.API.STREAM.MSG.GET.SALLYPORT_EVENTS",
	"$JS.API.DIRECT.GET.SALLYPORT_EVENTS",
	"$JS.API.CONSUMER.CREATE.SALLYPORT_EVENTS.recorder",
	"$JS.API.CONSUMER.CREATE.SALLYPORT_EVENTS.mine",
	"$JS.API.CONSUMER.CREATE.SALLYPORT_APPROVALS.mine",
	"$JS.API.CONSUMER.DELETE.SALLYPORT_EVENTS.recorder",
	"$JS.API.CONSUMER.PAUSE.SALLYPORT_EVENTS.recorder",
	"$JS.API.CONSUMER.MSG.NEXT.SALLYPORT_EVENTS.recorder",
	"$JS.API.CONSUMER.MSG.NEXT.SALLYPORT_EVENTS.mine",
	"$JS.ACK.SALLYPORT_EVENTS.recorder.1.1.1.1.0",
	"$JS.API.CONSUMER.MSG.NEXT.SALLYPORT_APPROVALS.mine",
	"$JS.ACK.SALLYPORT_APPROVALS.mine.1.1.1.1.0",
	"$JS.API.CONSUMER.CREATE.SALLYPORT_APPROVALS.slack",
	"$JS.API.CONSUMER.CREATE.SALLYPORT_APPROVALS.slack.sallyport.approvals.pending.x",
	"$JS.API.CONSUMER.MSG.NEXT.SALLYPORT_APPROVALS.slack",
	"$JS.API.CONSUMER.DELETE.SALLYPORT_APPROVALS.slack",
	"$JS.ACK.SALLYPORT_APPROVALS.slack.1.1.1.1.0",
	"$JS.API.CONSUMER.CREATE.SALLYPORT_APPROVALS.webhook-7",
	"$JS.API.CONSUMER.MSG.NEXT.SALLYPORT_APPROVALS.webhook-7",
	"$JS.API.CONSUMER.CREATE.SALLYPORT_APPROVALS.webhook-8",
	"$JS.API.STREAM.CREATE.KV_SALLYPORT_PENDING",
	"$JS.API.STREAM.UPDATE.KV_SALLYPORT_PENDING",
	"$JS.API.STREAM.DELETE.KV_SALLYPORT_PENDING",
	"$JS.API.STREAM.PURGE.KV_SALLYPORT_PENDING",
	"$JS.API.STREAM.INFO.KV_SALLYPORT_PENDING",
	"$JS.API.STREAM.MSG.GET.KV_SALLYPORT_PENDING",
	"$JS.API.DIRECT.GET.KV_SALLYPORT_PENDING.$KV.SALLYPORT_PENDING.key",
	"$JS.API.CONSUMER.CREATE.KV_SALLYPORT_PENDING.mine",
	"$KV.SALLYPORT_PENDING.key",
	"$JS.API.STREAM.CREATE.KV_SALLYPORT_REVOKED",
	"$JS.API.STREAM.UPDATE.KV_SALLYPORT_REVOKED",
	"$JS.API.STREAM.DELETE.KV_SALLYPORT_REVOKED",
	"$JS.API.STREAM.PURGE.KV_SALLYPORT_REVOKED",
	"$JS.API.STREAM.INFO.KV_SALLYPORT_REVOKED",
	"$JS.API.STREAM.MSG.GET.KV_SALLYPORT_REVOKED",
	"$JS.API.DIRECT.GET.KV_SALLYPORT_REVOKED.$KV.SALLYPORT_REVOKED.key",
	"$JS.API.CONSUMER.CREATE.KV_SALLYPORT_REVOKED.mine",
	"$KV.SALLYPORT_REVOKED.key",
	"$KV.anything.key",
}

// The matrix of every user and every subject, as the server enforces it, is the
// golden file. A grant that grows shows in review.
func TestPermissions(t *testing.T) {
	s := startServer(t)
	var out strings.Builder
	for _, role := range Roles {
		violation := make(chan string, 4)
		nc, err := nats.Connect(s.URL(), nats.UserCredentials(s.CredsFile(role)), nats.CustomInboxPrefix("_INBOX."+string(role)),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { violation <- err.Error() }))
		if err != nil {
			t.Fatal(err)
		}
		denied := func(do func() error) bool {
			t.Helper()
			if err := do(); err != nil {
				t.Fatal(err)
			}
			// The server answers in order: after Flush, a violation has been read. The
			// handler runs on a goroutine of its own, so a sentinel that is always
			// denied goes behind.
			if err := nc.Publish("sentinel", nil); err != nil {
				t.Fatal(err)
			}
			got := false
			for {
				select {
				case v := <-violation:
					if strings.Contains(v, `"sentinel"`) {
						return got
					}
					got = true
				case <-time.After(10 * time.Second):
					t.Fatalf("%s: the sentinel was not denied", role)
				}
			}
		}
		for _, subject := range subjects {
			pub := "-"
			if !strings.HasSuffix(subject, ">") && !strings.Contains(subject, "*") {
				pub = "pub"
				if denied(func() error { return nc.Publish(subject, nil) }) {
					pub = "."
				}
			}
			sub := "sub"
			if denied(func() error {
				// Without a queue of its own: it is dropped again at once.
				got, err := nc.SubscribeSync(subject)
				if err == nil {
					_ = got.AutoUnsubscribe(1)
				}
				return err
			}) {
				sub = "."
			}
			fmt.Fprintf(&out, "%-9s %-3s %-3s %s\n", role, pub, sub, subject)
		}
		nc.Close()
	}
	golden := filepath.Join("testdata", "permissions.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("the grants are not those of %s (rewrite it with -update):\n%s", golden, out.String())
	}
}

// Whoever has no key of ours, or another server's, does not get in.
func TestStrangersStayOutside(t *testing.T) {
	s, other := startServer(t), startServer(t)
	for name, o := range map[string][]nats.Option{
		"nobody":            nil,
		"a password":        {nats.UserInfo("gateway", "gateway")},
		"a token":           {nats.Token("x")},
		"another's gateway": {nats.UserCredentials(other.CredsFile(Gateway))},
	} {
		if nc, err := nats.Connect(s.URL(), o...); err == nil {
			nc.Close()
			t.Errorf("%s got in", name)
		}
	}
}

func TestCredsArePrivate(t *testing.T) {
	s := startServer(t)
	for _, role := range Roles {
		info, err := os.Stat(s.CredsFile(role))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", s.CredsFile(role), info.Mode().Perm())
		}
	}
}

func startServer(t *testing.T) *Server {
	t.Helper()
	s, err := Start(t.Context(), ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}
