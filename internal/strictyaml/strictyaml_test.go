package strictyaml

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

type sample struct {
	Name  string            `yaml:"name"`
	On    bool              `yaml:"on"`
	Count int               `yaml:"count"`
	Wait  time.Duration     `yaml:"wait"`
	Size  Size              `yaml:"size"`
	Addr  HostPort          `yaml:"addr"`
	URL   URL               `yaml:"url"`
	Net   []netip.Prefix    `yaml:"net"`
	List  []string          `yaml:"list"`
	Items []*item           `yaml:"items"`
	Map   map[string]*item  `yaml:"map"`
	Text  map[string]string `yaml:"text"`
}

type item struct {
	Key string        `yaml:"key"`
	TTL time.Duration `yaml:"ttl"`
}

func (i *item) SetDefaults() { i.TTL = time.Minute }

func TestDecode(t *testing.T) {
	s := sample{Count: 7}
	d := Decode("f.yaml", []byte(`
name: x
on: true
wait: 90s
size: 16MiB
addr: "[::1]:80"
url: https://Example.com/a
net: [10.0.0.0/8]
list: [a, "1"]
items: [{key: k}, {ttl: 5s}]
map: {a.b: {key: z}}
`), &s)
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	if s.Name != "x" || !s.On || s.Count != 7 || s.Wait != 90*time.Second || s.Size != 16<<20 ||
		s.Addr != (HostPort{"::1", 80}) || s.URL.Host != "Example.com" || s.Net[0].String() != "10.0.0.0/8" ||
		!reflect.DeepEqual(s.List, []string{"a", "1"}) || s.Items[0].TTL != time.Minute || s.Items[1].TTL != 5*time.Second ||
		s.Map["a.b"].Key != "z" || s.Map["a.b"].TTL != time.Minute {
		t.Errorf("decoded %+v", s)
	}
	if at := d.Position("map.a.b.key"); at != (Position{11, 18}) {
		t.Errorf("position of map.a.b.key is %v", at)
	}
	if at := d.Position("map.a.b.nothing"); at != (Position{11, 7}) {
		t.Errorf("position of what is missing is %v, not its parent's", at)
	}
	if d.Has("count") || !d.Has("items[1].ttl") {
		t.Error("Has is wrong")
	}
}

// One problem each, with where it is.
func TestProblems(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "f:  the file is empty",
		"# nothing":                     "f:  the file is empty",
		"---\n":                         "f:  the file is empty",
		"nmae: x":                       `f:1:1: nmae: unknown key "nmae"; did you mean "name"?`,
		"zzzzzzzz: x":                   `f:1:1: zzzzzzzz: unknown key "zzzzzzzz"; the keys here are name, on,`,
		"name: a\nname: b":              "f:2:1: name: this key is here twice, first on line 1",
		"name: 1":                       `f:1:7: name: expected a text, found a number; put it in quotes: "1"`,
		"name:":                         "f:1:6: name: has no value; give it a text",
		"list:\n# - a\n":                "f:1:6: list: has no value; give it a list",
		"on: yes":                       "f:1:5: on: expected true or false, found a text",
		"count: 1.5":                    "f:1:8: count: expected a whole number, found a number",
		"wait: 60":                      "f:1:7: wait: expected a duration such as 60s",
		"wait: -5s":                     "f:1:7: wait: expected a duration",
		"size: 16MB":                    "f:1:7: size: expected a size such as 512KiB",
		"size: 99999999999GiB":          "f:1:7: size: expected a size",
		"size: -1":                      "f:1:7: size: expected a size",
		"addr: :80":                     `f:1:7: addr: ":80" names no host; write 127.0.0.1:80`,
		"addr: h":                       "f:1:7: addr: expected host:port",
		"addr: h:080":                   "does not end in a port",
		"addr: h:70000":                 "does not end in a port",
		"addr: 127.1:80":                "is neither an IP address nor a host name",
		"addr: \"*.example.com:443\"":   "is neither an IP address nor a host name",
		"addr: \u212a.example.com:80":   "is neither an IP address nor a host name", // the Kelvin sign, lower case k
		"addr: a..b:80":                 "is neither an IP address nor a host name",
		"url: https://u:hunter2@h/":     "f:1:6: url: a URL here must not hold a user or a password",
		"url: x":                        "f:1:6: url: expected a URL",
		"net: [10.0.0.1/8]":             "f:1:7: net[0]: 10.0.0.1/8 has bits set behind its length; write 10.0.0.0/8",
		"net: [10.0.0.1]":               "f:1:7: net[0]: expected a network",
		"list: x":                       "f:1:7: list: expected a list ([] when empty), found a text",
		"items: [x]":                    "f:1:9: items[0]: expected a mapping with the keys key, ttl, found a text",
		"[a]":                           "f:1:1: expected a mapping with the keys name,",
		"list: &a [x]":                  "anchors and aliases are not read",
		"list: [x]\ntext: {k: *a}":      "unknown anchor",
		"map: {<<: {key: x}}":           "merge keys (<<) are not read",
		"name: !!str x":                 "tags such as",
		"name: !secret x":               "tags such as",
		"? [a]\n: b":                    "a key must be a plain text",
		"name: a\n---\nname: b":         "f:2:1: a second document begins here",
		"name: a\n---\n":                "a second document begins here",
		"name: [a":                      "this is not valid YAML",
		"name: a\n  b: c":               "f:2: this is not valid YAML",
		"\x00":                          "this is not valid YAML",
		strings.Repeat(" ", MaxBytes+1): "more than",
	} {
		d := Decode("f", []byte(in), &sample{})
		got := d.Problems()
		if len(got) != 1 {
			t.Errorf("%.40q: %d problems, want one:\n%v", in, len(got), got)
			continue
		}
		text := got[0].String()
		want = strings.Replace(want, "f:  ", "f: ", 1)
		if !strings.Contains(text, want) {
			t.Errorf("%.40q:\n got %s\nwant %s", in, text, want)
		}
		if strings.Contains(text, "hunter2") {
			t.Errorf("%q: a password is in the message", in)
		}
	}
}

func TestAllAtOnceSortedAndOnce(t *testing.T) {
	d := Decode("f", []byte("size: 1MB\nwait: 1\nnope: 1\nlist: [1, 2]"), &sample{})
	d.Errorf("size", "must not be added: it could not be read in the first place")
	d.Errorf("list[1].deeper", "must not be added either")
	d.Errorf("name", "is missing")
	broken := Decode("f", []byte("name: [a"), &sample{})
	broken.Errorf("name", "must not be added: nothing could be read")
	if n := len(broken.Problems()); n != 1 {
		t.Errorf("%d problems about a file that is no YAML", n)
	}
	var lines []int
	var problems Problems
	errors.As(d.Err(), &problems)
	for _, p := range problems {
		lines = append(lines, p.Line)
	}
	if want := []int{1, 1, 2, 3, 4, 4}; !reflect.DeepEqual(lines, want) {
		t.Errorf("lines %v, want %v:\n%v", lines, want, d.Err())
	}
}

// Aliases that multiply: refused at the first anchor, whatever they would expand to.
func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("list: &a0 [x]\n")
	for i := range 60 {
		b.WriteString("text: {k: &a" + string(rune('a'+i%26)) + " [*a0, *a0]}\n")
	}
	if Decode("f", []byte(b.String()), &sample{}).Err() == nil {
		t.Error("anchors were accepted")
	}
}

func TestSizeRoundTrip(t *testing.T) {
	for _, s := range []Size{0, 1, 1023, 1024, 1 << 20, 3 << 30, 1<<62 + 1} {
		var back Size
		if err := back.UnmarshalText([]byte(s.String())); err != nil || back != s {
			t.Errorf("%d is written %q and read %d, %v", s, s, back, err)
		}
	}
}

func TestLoopback(t *testing.T) {
	for in, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "localhost:1": true, "[::ffff:127.0.0.1]:1": true,
		"0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "localhost.example.com:1": false, "": false,
	} {
		var h HostPort
		if err := h.UnmarshalText([]byte(in)); err != nil || h.Loopback() != want {
			t.Errorf("%q: loopback %v, %v", in, h.Loopback(), err)
		}
	}
}

// Any bytes give a struct or problems, never a panic, and every problem has a
// message and lies inside the file.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "name: x", "a: &b [*b]", "items: [{key: 1}, {ttl: 1s}]", "map: {x: {ttl: 5}}", "---\n---\n", "? {}\n: []", "net: [1/2]", "{"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := Decode("f", data, &sample{})
		lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + strings.Count(string(data), "\u2028") + strings.Count(string(data), "\u2029") + strings.Count(string(data), "\u0085") + 2
		var problems Problems
		errors.As(d.Err(), &problems)
		for _, p := range problems {
			if p.Message == "" || p.Line < 0 || p.Line > lines {
				t.Errorf("%+v in %q", p, data)
			}
		}
	})
}

type tree struct {
	Sub *tree `yaml:"sub"`
}

// A type that holds itself does not let the file choose how deep recursion goes.
func TestDepthIsBounded(t *testing.T) {
	nested := func(n int) []byte { return []byte(strings.Repeat("{sub: ", n) + "{}" + strings.Repeat("}", n)) }
	if err := Decode("f", nested(maxDepth), &tree{}).Err(); err != nil {
		t.Error(err)
	}
	if err := Decode("f", nested(maxDepth+1), &tree{}).Err(); err == nil || !strings.Contains(err.Error(), "nested too deeply") {
		t.Errorf("%v", err)
	}
}
