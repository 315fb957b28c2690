package slack_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const (
	botToken = "xoxb-bot-token-that-nobody-may-see"
	appToken = "xapp-app-token-that-nobody-may-see"
	channel  = "C0APPROVALS"
	team     = "T0ACME"
)

// fakeSlack is the part of Slack that the gateway uses: the Web API's methods over
// HTTP, with tokens verified and blocks held to Block Kit's limits, and Socket Mode
// over a real WebSocket.
type fakeSlack struct {
	t    *testing.T
	http *httptest.Server

	mu       sync.Mutex
	down     int               // HTTP status of everything; 0 is up
	redirect string            // where everything is sent on to
	fails    map[string]string // method: error
	users    map[string]map[string]any
	posts    map[string]*post // by ts
	told     chan string      // user and text of ephemeral messages
	changed  chan *post       // posted and updated
	views    chan map[string]any
	conns    []*websocket.Conn
	opened   chan struct{} // a socket was opened
	acks     chan string
	calls    map[string]int
	n        int
}

// post is a message as it is now.
type post struct {
	ts, text string
	blocks   []map[string]any
	raw      string
}

func newFakeSlack(t *testing.T) *fakeSlack {
	t.Helper()
	f := &fakeSlack{
		t: t, fails: map[string]string{}, users: map[string]map[string]any{}, posts: map[string]*post{}, calls: map[string]int{},
		told: make(chan string, 64), changed: make(chan *post, 64), views: make(chan map[string]any, 8), opened: make(chan struct{}, 64), acks: make(chan string, 64),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /socket", f.socket)
	mux.HandleFunc("POST /api/{method}", f.call)
	f.http = httptest.NewServer(mux)
	t.Cleanup(func() { f.drop(); f.http.Close() })
	f.user("U0ANN", "ann@acme.example", nil)
	return f
}

// user adds an account.
func (f *fakeSlack) user(id, email string, more map[string]any) {
	u := map[string]any{"id": id, "team_id": team, "is_email_confirmed": true, "profile": map[string]any{"email": email}}
	for k, v := range more {
		u[k] = v
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users[id] = u
}

func (f *fakeSlack) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeSlack) called(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

func (f *fakeSlack) call(w http.ResponseWriter, r *http.Request) {
	method := r.PathValue("method")
	_ = r.ParseForm()
	token := r.PostForm.Get("token")
	if header, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		token = header
	}
	var in struct {
		Trigger string         `json:"trigger_id"`
		View    map[string]any `json:"view"`
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		_ = json.NewDecoder(r.Body).Decode(&in)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[method]++
	if f.down != 0 {
		http.Error(w, "<html>", f.down)
		return
	}
	if f.redirect != "" {
		http.Redirect(w, r, f.redirect, http.StatusTemporaryRedirect)
		return
	}
	reply := func(v map[string]any) {
		if _, ok := v["ok"]; !ok {
			v["ok"] = v["error"] == nil
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	want := botToken
	if method == "apps.connections.open" {
		want = appToken
	}
	if token != want {
		reply(map[string]any{"error": "invalid_auth"})
		return
	}
	if e := f.fails[method]; e != "" {
		reply(map[string]any{"error": e})
		return
	}
	form := r.PostForm
	switch method {
	case "auth.test":
		reply(map[string]any{"team_id": team, "user_id": "U0BOT", "bot_id": "B0BOT"})
	case "apps.connections.open":
		reply(map[string]any{"url": "ws" + strings.TrimPrefix(f.http.URL, "http") + "/socket?ticket=secret-ticket"})
	case "users.info":
		if u := f.users[form.Get("user")]; u != nil {
			reply(map[string]any{"user": u})
		} else {
			reply(map[string]any{"error": "user_not_found"})
		}
	case "chat.postMessage", "chat.update":
		p := &post{ts: form.Get("ts"), text: form.Get("text"), raw: form.Get("blocks")}
		if why := p.check(); why != "" {
			f.t.Errorf("%s: %s\n%s", method, why, p.raw)
			reply(map[string]any{"error": "invalid_blocks"})
			return
		}
		if method == "chat.update" && f.posts[p.ts] == nil {
			reply(map[string]any{"error": "message_not_found"})
			return
		}
		if form.Get("channel") != channel {
			reply(map[string]any{"error": "channel_not_found"})
			return
		}
		if p.ts == "" {
			f.n++
			p.ts = fmt.Sprintf("1764147600.%06d", f.n)
		}
		f.posts[p.ts] = p
		f.changed <- p
		reply(map[string]any{"channel": channel, "ts": p.ts, "text": p.text})
	case "chat.postEphemeral":
		p := &post{text: form.Get("text"), raw: form.Get("blocks")}
		if why := p.check(); why != "" || form.Get("channel") != channel {
			f.t.Errorf("ephemeral: %s in %s", why, form.Get("channel"))
		}
		texts, _ := texts(p.blocks)
		f.told <- form.Get("user") + ": " + strings.Join(texts, " ")
		reply(map[string]any{"message_ts": "1.1"})
	case "views.open":
		if in.Trigger == "" {
			f.t.Error("a view without a trigger")
		}
		f.views <- in.View
		reply(map[string]any{"view": map[string]any{"id": "V1"}})
	default:
		f.t.Errorf("%s was called", method)
		reply(map[string]any{"error": "unknown_method"})
	}
}

// check holds a message to what Slack documents of blocks.
func (p *post) check() string {
	if err := json.Unmarshal([]byte(p.raw), &p.blocks); err != nil {
		return "blocks are no JSON"
	}
	if len(p.blocks) == 0 || len(p.blocks) > 50 {
		return fmt.Sprintf("%d blocks", len(p.blocks))
	}
	if len(p.text) > 4000 || p.text == "" {
		return fmt.Sprintf("a text of %d bytes", len(p.text))
	}
	total := 0
	ids := map[string]bool{}
	for _, b := range p.blocks {
		if id, _ := b["block_id"].(string); id != "" {
			if ids[id] {
				return "two blocks are " + id
			}
			ids[id] = true
		}
		switch b["type"] {
		case "header":
			text := b["text"].(map[string]any)
			if text["type"] != "plain_text" || len([]rune(text["text"].(string))) > 150 {
				return "a title that Slack does not take"
			}
		case "rich_text":
			all, _ := texts([]map[string]any{b})
			sum := 0
			for _, s := range all {
				sum += len([]rune(s))
				if s == "" {
					return "an empty text"
				}
			}
			if sum > 3000 {
				return fmt.Sprintf("%d characters in a block", sum)
			}
			total += sum
		case "actions":
			for _, e := range b["elements"].([]any) {
				e := e.(map[string]any)
				if e["type"] != "button" || len(e["value"].(string)) > 2000 {
					return "a button that Slack does not take"
				}
			}
		default:
			return fmt.Sprintf("a block of type %v", b["type"])
		}
	}
	if total > 13000 {
		return fmt.Sprintf("%d characters in all", total)
	}
	return ""
}

// texts are the texts in rich_text blocks: all, and those that look like ours, in no
// code style. Elements that are anything but text are shown as such.
func texts(blocks []map[string]any) (all, bare []string) {
	var walk func(v map[string]any, box bool)
	walk = func(v map[string]any, box bool) {
		box = box || v["type"] == "rich_text_preformatted"
		list, _ := v["elements"].([]any)
		for _, e := range list {
			e := e.(map[string]any)
			switch e["type"] {
			case "rich_text_section", "rich_text_preformatted":
				walk(e, box)
			case "text":
				s := e["text"].(string)
				all = append(all, s)
				style, _ := e["style"].(map[string]any)
				if style["code"] != true && !box {
					bare = append(bare, s)
				}
			default:
				all, bare = append(all, fmt.Sprintf("[%v]", e["type"])), append(bare, fmt.Sprintf("[%v]", e["type"]))
			}
		}
	}
	for _, b := range blocks {
		if b["type"] == "rich_text" {
			walk(b, false)
		}
	}
	return all, bare
}

func (p *post) title() string { return p.blocks[0]["text"].(map[string]any)["text"].(string) }

func (p *post) all() string {
	all, _ := texts(p.blocks)
	return strings.Join(all, "\x00")
}

// button is the value of a message's button; "" when it has none.
func (p *post) button(action string) string {
	for _, b := range p.blocks {
		if b["type"] == "actions" {
			for _, e := range b["elements"].([]any) {
				if e := e.(map[string]any); e["action_id"] == action {
					return e["value"].(string)
				}
			}
		}
	}
	return ""
}

// socket is Socket Mode: it says hello, pings, and takes acknowledgements.
func (f *fakeSlack) socket(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("ticket") != "secret-ticket" {
		http.Error(w, "no ticket", http.StatusUnauthorized)
		return
	}
	c, err := (&websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	f.set(func() {
		_ = c.WriteJSON(map[string]any{"type": "hello", "num_connections": 1})
		_ = c.WriteControl(websocket.PingMessage, []byte("x"), time.Now().Add(time.Second))
		f.conns = append(f.conns, c)
	})
	f.opened <- struct{}{}
	for {
		var ack struct {
			EnvelopeID string `json:"envelope_id"`
		}
		if c.ReadJSON(&ack) != nil {
			return
		}
		f.acks <- ack.EnvelopeID
	}
}

// drop closes all sockets.
func (f *fakeSlack) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		_ = c.Close()
	}
	f.conns = nil
}

// send is what Slack sends of a user's doing, to one of the sockets, and waits for the
// acknowledgement.
func (f *fakeSlack) send(payload map[string]any) {
	f.t.Helper()
	f.mu.Lock()
	f.n++
	id := fmt.Sprint("envelope-", f.n)
	if len(f.conns) == 0 {
		f.mu.Unlock()
		f.t.Fatal("no socket is open")
	}
	err := f.conns[len(f.conns)-1].WriteJSON(map[string]any{"type": "interactive", "envelope_id": id, "accepts_response_payload": true, "payload": payload})
	f.mu.Unlock()
	if err != nil {
		f.t.Fatal(err)
	}
	if got := take(f.t, f.acks); got != id {
		f.t.Errorf("acknowledged was %s, not %s", got, id)
	}
}

// press is a user who presses a button.
func (f *fakeSlack) press(user, action, value string, more map[string]any) {
	f.t.Helper()
	p := map[string]any{
		"type": "block_actions", "team": map[string]any{"id": team}, "user": map[string]any{"id": user, "team_id": team}, "channel": map[string]any{"id": channel},
		"trigger_id": "trigger", "response_url": "http://127.0.0.1:1/never",
		"actions": []any{map[string]any{"type": "button", "block_id": "answer", "action_id": action, "value": value}},
	}
	for k, v := range more {
		p[k] = v
	}
	f.send(p)
}

func take[T any](t *testing.T, from chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}
