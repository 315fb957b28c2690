package postform_test

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sallyport/sallyport/internal/postform"
)

const boundary = "9431149156168"

// form is a well-formed form in the words of the tests: `--` is the boundary's, and
// lines end in CRLF.
func form(text string) string {
	text = strings.ReplaceAll(text, "--B", "--"+boundary)
	return strings.ReplaceAll(text, "\n", "\r\n")
}

const good = `--B
Content-Disposition: form-data; name="key"

user/${filename}
--B
Content-Disposition: form-data; name="acl"
Content-Type: text/plain; charset=UTF-8

private
--B
Content-Disposition: form-data; name="file"; filename="photos/é.jpg"
Content-Type: image/jpeg

hello
--B--
`

type parsed struct {
	fields   []postform.Field
	filename string
	file     string
	most     int64
}

func parse(r io.Reader, boundary string, length int64) (parsed, error) {
	f, err := postform.Read(r, boundary, length)
	if err != nil {
		return parsed{}, err
	}
	file, err := io.ReadAll(f.File)
	return parsed{f.Fields, f.Filename, string(file), f.File.Most()}, err
}

func TestRead(t *testing.T) {
	text := form(good)
	for _, end := range []string{"", "\r\n"} {
		body := strings.TrimSuffix(text, "\r\n") + end
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(body), "one byte": iotest.OneByteReader(strings.NewReader(body)), "end with data": iotest.DataErrReader(strings.NewReader(body)),
		} {
			got, err := parse(r, boundary, int64(len(body)))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			want := []postform.Field{{Name: "key", Value: "user/${filename}"}, {Name: "acl", Value: "private"}}
			if !slices.Equal(got.fields, want) || got.filename != "é.jpg" || got.file != "hello" || got.most != int64(5+len(end)) {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
	if f, err := postform.Read(strings.NewReader(text), boundary, -1); err != nil || f.File.Most() != -1 {
		t.Errorf("unknown length: %v", err)
	}
}

// Forms that two readers could take for two things.
func TestReadRefuses(t *testing.T) {
	replace := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not there", old)
		}
		return form(strings.Replace(good, old, with, 1))
	}
	for name, text := range map[string]string{
		"preamble":                   form("preamble\n" + good),
		"empty line before":          form("\n" + good),
		"another boundary":           form(strings.Replace(good, "--B\n", "--BB\n", 1)),
		"boundary with space":        replace("--B\n", "--B \n"),
		"boundary ends in LF":        strings.Replace(form(good), "\r\n", "\n", 1),
		"later boundary ends in LF":  strings.Replace(form(good), "filename}\r\n--"+boundary+"\r\n", "filename}\r\n--"+boundary+"\n", 1),
		"value ends in LF":           strings.Replace(form(good), "filename}\r\n", "filename}\n", 1),
		"no file":                    form(good[:strings.Index(good, "--B\nContent-Disposition: form-data; name=\"file")] + "--B--\n"),
		"no value":                   replace("\nprivate\n", "\n"),
		"value begins with boundary": replace("private", "--Bx"),
		"value is not UTF-8":         replace("private", "\xff"),
		"end of the form in a value": replace("private", "\n--B--"),
		"name is not UTF-8":          replace(`"acl"`, "\"\xff\""),
		"no name":                    replace(`form-data; name="acl"`, `form-data`),
		"empty name":                 replace(`name="acl"`, `name=""`),
		"name without quotes":        replace(`name="acl"`, `name=acl`),
		"single quotes":              replace(`name="acl"`, `name='acl'`),
		"name with an escape":        replace(`name="acl"`, `name="a\cl"`),
		"name twice":                 replace(`name="acl"`, `name="acl"; name="key"`),
		"name twice, case":           replace(`name="acl"`, `name="acl"; NAME="key"`),
		"name*":                      replace(`name="acl"`, `name="acl"; name*=utf-8''key`),
		"name* in quotes":            replace(`name="acl"`, `name="acl"; name*="utf-8''key"`),
		"another parameter":          replace(`name="acl"`, `name="acl"; size="3"`),
		"text behind the parameters": replace(`name="acl"`, `name="acl" x`),
		"semicolon at the end":       replace(`name="acl"`, `name="acl";`),
		"tab":                        replace(`; name="acl"`, ";\tname=\"acl\""),
		"attachment":                 replace(`form-data; name="acl"`, `attachment; name="acl"`),
		"no disposition":             replace("Content-Disposition: form-data; name=\"acl\"\n", ""),
		"disposition twice":          replace(`name="acl"`, "name=\"acl\"\nContent-Disposition: form-data; name=\"key\""),
		"disposition twice, case":    replace(`name="acl"`, "name=\"acl\"\ncontent-disposition: form-data; name=\"key\""),
		"folded":                     replace(`; name="acl"`, ";\n name=\"acl\""),
		"space before the colon":     replace(`Disposition: form-data; name="acl"`, `Disposition : form-data; name="acl"`),
		"header without a colon":     replace("Content-Type: text/plain; charset=UTF-8", "Content-Type"),
		"transfer encoding":          replace("Content-Type: text/plain; charset=UTF-8", "Content-Transfer-Encoding: base64"),
		"length of a part":           replace("Content-Type: text/plain; charset=UTF-8", "Content-Length: 7"),
		"charset":                    replace("charset=UTF-8", "charset=utf-16"),
		"charset, quoted":            replace("charset=UTF-8", `charset="utf-16"`),
		"type twice":                 replace("Content-Type: text/plain; charset=UTF-8", "Content-Type: multipart/mixed; boundary=x\nContent-Type: text/plain"),
		"type twice, the same":       replace("charset=UTF-8", "charset=UTF-8\nContent-Type: text/plain; charset=UTF-8"),
		"FILE without a filename":    form(strings.Replace(strings.Replace(good, `name="acl"`, `name="FILE"`, 1), "Content-Type: text/plain; charset=UTF-8\n", "", 1)),
		"another parameter of type":  replace("charset=UTF-8", "charset=utf-8; x=y"),
		"type":                       replace("text/plain", "application/json"),
		"nested":                     replace("text/plain; charset=UTF-8", "multipart/mixed; boundary=x"),
		"nested file":                replace("image/jpeg", "multipart/mixed; boundary=x"),
		"file of a message":          replace("image/jpeg", "message/rfc822"),
		"two files":                  replace(`name="acl"`, `name="acl"; filename="a"`),
		"two files, no name":         replace(`name="acl"`, `name="acl"; filename=""`),
		"File":                       replace(`name="file"`, `name="File"`),
		"filename*":                  replace(`filename="photos/é.jpg"`, `filename*=utf-8''x`),
		"filename and filename*":     replace(`filename="photos/é.jpg"`, `filename="x"; filename*=utf-8''y`),
		"filename twice":             replace(`filename="photos/é.jpg"`, `filename="x"; filename="y"`),
		"filename with a quote":      replace(`filename="photos/é.jpg"`, `filename="a\"b"`),
		"filename, NUL":              replace(`photos/é.jpg`, "a\x00b"),
		"file begins with boundary":  replace("\nhello", "\n--B\n"),
		"empty file without CRLF":    replace("\nhello\n", "\n"),
		"field behind the file":      replace("--B--", "--B\nContent-Disposition: form-data; name=\"acl\"\n\npublic-read\n--B--"),
		"second file behind it":      replace("--B--", "--B\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\n\nx\n--B--"),
		"boundary inside the file":   replace("hello", "hel\n--Blo"),
		"epilogue":                   form(good + "x"),
		"two lines at the end":       form(good + "\n"),
		"space behind the end":       replace("--B--\n", "--B-- \n"),
		"LF at the end":              strings.TrimSuffix(form(good), "\r\n") + "\n",
		"no end":                     replace("\n--B--\n", ""),
		"no closing":                 replace("--B--\n", "--B"),
		"half a closing":             replace("--B--\n", "--B-"),
		"line after the file":        replace("--B--\n", "--B\n"),
		"too many fields":            form(strings.Repeat("--B\nContent-Disposition: form-data; name=\"x-ignore-1\"\n\n1\n", postform.MaxFields+1) + good),
		"too long":                   replace("private", strings.Repeat("p", postform.MaxHead)),
		"too long, in lines":         replace("private", strings.Repeat("p\n", postform.MaxHead/2)),
	} {
		for _, length := range []int64{int64(len(text)), -1} {
			got, err := parse(strings.NewReader(text), boundary, length)
			var e *postform.Error
			if !errors.As(err, &e) {
				t.Errorf("%s: %+v, %v", name, got, err)
			} else if strings.Contains(e.Error(), "acl") && !strings.Contains(e.Error(), "Disposition") {
				t.Errorf("%s: the error repeats the form: %v", name, err)
			}
		}
	}
}

// The limit is S3's: a form as long as it is taken.
func TestMaxHead(t *testing.T) {
	head, _, _ := strings.Cut(form(good), "hello")
	for extra, fits := range map[int]bool{0: true, 1: false} {
		text := strings.Replace(form(good), "private", "private"+strings.Repeat("p", postform.MaxHead-len(head)+extra), 1)
		if _, err := parse(strings.NewReader(text), boundary, int64(len(text))); (err == nil) != fits {
			t.Errorf("%d bytes more than fit: %v", extra, err)
		}
	}
}

// A stream that ends early, with whatever error, is no whole file.
func TestCut(t *testing.T) {
	whole := strings.TrimSuffix(form(good), "\r\n")
	reset := errors.New("reset")
	for n := range len(whole) {
		for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, reset} {
			r := io.MultiReader(strings.NewReader(whole[:n]), iotest.ErrReader(end))
			_, err := parse(r, boundary, int64(len(whole)))
			want := end
			if errors.Is(end, io.EOF) {
				want = io.ErrUnexpectedEOF
			}
			var e *postform.Error
			if !errors.As(err, &e) || errors.Is(err, io.EOF) || !errors.Is(err, want) {
				t.Fatalf("cut at %d with %v: %v", n, end, err)
			}
		}
	}
	if _, err := parse(io.MultiReader(strings.NewReader(whole), iotest.ErrReader(reset)), boundary, -1); !errors.Is(err, reset) {
		t.Errorf("an error behind the end: %v", err)
	}
	if _, err := postform.Read(strings.NewReader(whole), boundary, 20); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a length that has no room for the fields: %v", err)
	}
}

func TestBoundary(t *testing.T) {
	for in, want := range map[string]string{
		"multipart/form-data; boundary=abc":                               "abc",
		"Multipart/Form-Data;boundary=abc":                                "abc",
		`multipart/form-data; BOUNDARY="a:b"`:                             "a:b",
		"multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZ": "----WebKitFormBoundary7MA4YWxkTrZ",
		"multipart/form-data":                                             "", "multipart/form-data; boundary=": "", `multipart/form-data; boundary=""`: "", `multipart/form-data; boundary="a`: "",
		"multipart/form-data; boundary=a; boundary=b": "", "multipart/form-data; boundary=a; charset=utf-8": "", "multipart/form-data; charset=utf-8; boundary=a": "",
		"multipart/form-data; boundary*=utf-8''a": "", "multipart/form-data; boundary*0=a": "", `multipart/form-data; boundary="a b"`: "", `multipart/form-data; boundary="a\b"`: "",
		"multipart/form-data; boundary=a,b": "", "multipart/form-data, multipart/form-data; boundary=a": "", "multipart/mixed; boundary=a": "",
		"multipart/form-data; boundary=" + strings.Repeat("a", 71): "", "multipart/form-data; boundary=é": "", `multipart/form-data; boundary="a"b"`: "",
	} {
		got, err := postform.Boundary(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
}

// naive reads a form with the standard library, which is another reader than ours.
func naive(r io.Reader, boundary string) (parsed, error) {
	m := multipart.NewReader(r, boundary)
	var out parsed
	for {
		p, err := m.NextRawPart()
		if err != nil {
			return out, err
		}
		value, err := io.ReadAll(p)
		if err != nil {
			return out, err
		}
		if p.FormName() == postform.FileField {
			out.filename, out.file = p.FileName(), string(value)
			if _, err := m.NextRawPart(); !errors.Is(err, io.EOF) {
				return out, errors.New("there is more behind the file")
			}
			return out, nil
		}
		out.fields = append(out.fields, postform.Field{Name: p.FormName(), Value: string(value)})
	}
}

// FuzzRead: what is taken, another reader takes for the same; however the bytes come;
// and what is written of it is it, in the length that was said before.
func FuzzRead(f *testing.F) {
	f.Add([]byte(form(good)), true)
	f.Add([]byte(strings.TrimSuffix(form(good), "\r\n")), false)
	f.Add([]byte(form(strings.Replace(good, "hello", "", 1))), true)
	f.Add([]byte(form(strings.Replace(good, "hello", "a\n--b\n-\n--9431", 1))), true)
	f.Add([]byte(form(strings.Replace(good, "--B--", "--B\nContent-Disposition: form-data; name=\"acl\"\n\npublic-read\n--B--", 1))), true)
	f.Fuzz(func(t *testing.T, body []byte, known bool) {
		length := int64(-1)
		if known {
			length = int64(len(body))
		}
		got, err := parse(bytes.NewReader(body), boundary, length)
		slow, slowErr := parse(iotest.OneByteReader(bytes.NewReader(body)), boundary, length)
		if (err == nil) != (slowErr == nil) || err == nil && (got.file != slow.file || !slices.Equal(got.fields, slow.fields)) {
			t.Fatalf("it depends on how the bytes come: %v, %v", err, slowErr)
		}
		if err != nil {
			return
		}
		other, err := naive(bytes.NewReader(body), boundary)
		if err != nil || other.file != got.file || !slices.Equal(other.fields, got.fields) {
			t.Fatalf("%+v, another reader: %+v, %v", got, other, err)
		}
		again, err := postform.Read(bytes.NewReader(body), boundary, length)
		if err != nil {
			t.Fatal(err)
		}
		const fresh = "VXJ0ZXN0ZXN0ZXN0ZXN0"
		w, n := postform.Body(again.Fields, again.File, fresh)
		written, err := io.ReadAll(w)
		if err != nil || known && n != int64(len(written)) {
			t.Fatalf("%d bytes were announced, %d written, %v", n, len(written), err)
		}
		if bytes.Contains(body, []byte(fresh)) {
			return
		}
		back, err := naive(bytes.NewReader(written), fresh)
		if err != nil || back.file != got.file || !slices.Equal(back.fields, got.fields) {
			t.Fatalf("%+v was written as %+v, %v", got, back, err)
		}
	})
}

// What is written is not complete where the file's own form is not.
func TestBodyOfALie(t *testing.T) {
	for _, lie := range []string{"--B\nContent-Disposition: form-data; name=\"acl\"\n\nx\n--B--", "--B--\n\n", "--B"} {
		text := form(strings.Replace(good, "--B--\n", lie, 1))
		f, err := postform.Read(strings.NewReader(text), boundary, int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		w, n := postform.Body(f.Fields, f.File, "fresh")
		written, err := io.ReadAll(w)
		var e *postform.Error
		if !errors.As(err, &e) || int64(len(written)) >= n || bytes.Contains(written, []byte("--fresh--")) {
			t.Errorf("%q: %v after %d of %d bytes", lie, err, len(written), n)
		}
	}
}

// tee keeps what it is given, and refuses to go on behind a limit.
type tee struct {
	bytes.Buffer
	left   int
	closed bool
}

var errFull = errors.New("full")

func (w *tee) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errFull
	}
	return w.Buffer.Write(p)
}

func (w *tee) Close() error { w.closed = true; return nil }

// A writer gets what the file gives, before it is given, and its end only where the form
// ends well; where it fails, the file does.
func TestTee(t *testing.T) {
	text := strings.Repeat("x", 100_000)
	body := strings.Replace(form(good), "hello", text, 1)
	for _, c := range []struct {
		body  string
		limit int
		err   error
	}{{body, 1 << 20, nil}, {body + "more", 1 << 20, nil}, {body, 50_000, errFull}} {
		f, err := postform.Read(strings.NewReader(c.body), boundary, -1)
		if err != nil {
			t.Fatal(err)
		}
		w := &tee{left: c.limit}
		f.File.Tee(w)
		got, err := io.ReadAll(f.File)
		if c.err != nil {
			if !errors.Is(err, c.err) || len(got) > c.limit {
				t.Errorf("gave %d bytes, %v", len(got), err)
			}
			continue
		}
		if w.String() != text || w.closed != (err == nil) || (err == nil) != (c.body == body) {
			t.Errorf("%d bytes of %d, closed %v, %v", w.Len(), len(text), w.closed, err)
		}
	}
}
