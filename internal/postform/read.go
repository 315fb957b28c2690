package postform

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/bodyfault"
)

// MaxHead is how many bytes of a form may come before its file, S3's own limit of
// 20 KB; MaxFields how many fields.
const (
	MaxHead   = 20 << 10
	MaxFields = 100
)

// FileField is the name of the field that is the file.
const FileField = "file"

// Field is one field of a form that is not the file. Its value is UTF-8.
type Field struct{ Name, Value string }

// Form is a form whose fields have been read. Its zero value is not useful.
type Form struct {
	Fields   []Field // in the form's order
	Filename string  // of the file, without the folders before it; "" where none is given
	File     *File
}

// Boundary reads the boundary out of a Content-Type: one of multipart/form-data with
// no other parameter.
func Boundary(contentType string) (string, error) {
	kind, params, _ := strings.Cut(contentType, ";")
	if !strings.EqualFold(strings.Trim(kind, " \t"), "multipart/form-data") {
		return "", bad("Content-Type is not multipart/form-data")
	}
	name, b, _ := strings.Cut(strings.Trim(params, " \t"), "=")
	if !strings.EqualFold(name, "boundary") {
		return "", bad("Content-Type must have a boundary and no other parameter")
	}
	if len(b) > 1 && b[0] == '"' && b[len(b)-1] == '"' {
		b = b[1 : len(b)-1]
	} else if strings.ContainsAny(b, "()<>@,;:\\\"/[]?= \t") {
		return "", bad("Content-Type has a boundary that must be quoted, or something behind it")
	}
	if b == "" || len(b) > 70 {
		return "", bad("Content-Type has a boundary that is not 1 to 70 characters long")
	}
	for i := range len(b) { // RFC 2046, bchars; without the space, which some strip
		if c := b[i]; !isAlphanumeric(c) && strings.IndexByte("'()+_,-./:=?", c) < 0 {
			return "", bad("Content-Type has a boundary with a character that none may have")
		}
	}
	return b, nil
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// Read reads a form up to its file. boundary is what Boundary gave, contentLength the
// body's length in bytes, -1 if that is not known.
func Read(r io.Reader, boundary string, contentLength int64) (*Form, error) {
	h := &headReader{src: bufio.NewReaderSize(r, bufferSize), dash: "--" + boundary}
	line, err := h.line()
	if err != nil {
		return nil, err
	}
	if string(line) != h.dash+"\r\n" {
		return nil, bad("the form does not begin with its boundary")
	}
	f := &Form{}
	for {
		p, err := h.part()
		if err != nil {
			return nil, err
		}
		if p.name == FileField {
			f.Filename = p.filename[strings.LastIndexByte(p.filename, '/')+1:]
			f.File, err = newFile(h, contentLength)
			return f, err
		}
		if err := p.plain(); err != nil {
			return nil, err
		}
		if len(f.Fields) >= MaxFields {
			return nil, bad("the form has more than %d fields before its file", MaxFields)
		}
		value, err := h.value()
		if err != nil {
			return nil, err
		}
		f.Fields = append(f.Fields, Field{p.name, value})
	}
}

// headReader reads what is before the file, line by line.
type headReader struct {
	src  *bufio.Reader
	dash string // `--` and the boundary
	n    int    // bytes read so far
}

// line is the next line with its end, good until the next read.
func (h *headReader) line() ([]byte, error) {
	line, err := h.src.ReadSlice('\n')
	if h.n += len(line); h.n > MaxHead || errors.Is(err, bufio.ErrBufferFull) {
		return nil, bad("the form has more than %d bytes before its file, which must be its last field", MaxHead)
	}
	if err != nil {
		return nil, broken(err)
	}
	return line, nil
}

// broken is the error for a stream that ended where the form has not.
func broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // nobody behind us shall take it for the end
	}
	return &Error{bodyfault.Wrap("the form breaks off before its end", err)}
}

// value is a field's value, up to the boundary.
func (h *headReader) value() (string, error) {
	var b []byte
	for {
		line, err := h.line()
		if err != nil {
			return "", err
		}
		if !bytes.HasPrefix(line, []byte(h.dash)) {
			b = append(b, line...)
			continue
		}
		value, ok := bytes.CutSuffix(b, []byte("\r\n"))
		switch {
		case string(line) != h.dash+"\r\n":
			// The end of the form, or a line that only begins like a boundary.
			return "", bad("the form has no file behind its fields, or a line in them begins with its boundary")
		case !ok:
			return "", bad("a field's value does not end in CRLF before the boundary")
		case !utf8.Valid(value):
			return "", bad("a field's value is not UTF-8")
		}
		return string(value), nil
	}
}

// part is what the headers of a part say.
type part struct {
	name, filename string
	named          bool // has a filename
	contentType    string
}

// part reads the headers of one part.
func (h *headReader) part() (part, error) {
	var p part
	seen := map[string]bool{}
	for {
		raw, err := h.line()
		if err != nil {
			return part{}, err
		}
		line, ok := strings.CutSuffix(string(raw), "\r\n")
		if !ok || strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c == 0x7f }) || !utf8.ValidString(line) {
			return part{}, bad("a part's header has a character that none may have, or does not end in CRLF")
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		name = strings.ToLower(name)
		if !ok || seen[name] {
			return part{}, bad("a part has a header twice, or a line that is no header")
		}
		seen[name] = true
		switch value = strings.Trim(value, " "); name {
		case "content-disposition":
			if err := p.disposition(value); err != nil {
				return part{}, err
			}
		case "content-type":
			p.contentType = strings.ToLower(value)
		default:
			// Content-Transfer-Encoding would say that the value is another text.
			return part{}, bad("a part has a header other than Content-Disposition and Content-Type")
		}
	}
	if p.name == "" {
		return part{}, bad("a part has no name")
	}
	if p.name != FileField && strings.EqualFold(p.name, FileField) {
		return part{}, bad("the file's field must be called file, in lower case")
	}
	if strings.HasPrefix(p.contentType, "multipart/") || strings.HasPrefix(p.contentType, "message/") {
		return part{}, bad("a part has parts of its own")
	}
	return p, nil
}

// plain refuses a part that is no ordinary field.
func (p *part) plain() error {
	if p.named {
		return bad("the form has a file beside the field file")
	}
	kind, params, _ := strings.Cut(p.contentType, ";")
	params = strings.ReplaceAll(strings.ReplaceAll(params, " ", ""), `"`, "")
	if kind = strings.TrimSpace(kind); kind != "" && kind != "text/plain" || params != "" && params != "charset=utf-8" && params != "charset=us-ascii" {
		return bad("a field's Content-Type is not text/plain in UTF-8")
	}
	return nil
}

// disposition reads `form-data; name="N"` and `form-data; name="N"; filename="F"`.
// RFC 7578 has no other parameters (filename* is forbidden there, and some readers
// prefer it), and readers differ in what a backslash means.
func (p *part) disposition(v string) error {
	const odd = `Content-Disposition of a part must be form-data; name="N", with a filename="F" for the file`
	kind, rest, more := strings.Cut(v, ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "form-data") || !more {
		return bad(odd)
	}
	for more {
		name, quoted, ok := strings.Cut(strings.TrimLeft(rest, " "), `="`)
		value, behind, closed := strings.Cut(quoted, `"`)
		if !ok || !closed || strings.Contains(value, `\`) {
			return bad(odd)
		}
		switch strings.ToLower(name) {
		case "name":
			if p.name != "" || value == "" {
				return bad(odd)
			}
			p.name = value
		case "filename":
			if p.named {
				return bad(odd)
			}
			p.filename, p.named = value, true
		default:
			return bad(odd)
		}
		behind = strings.Trim(behind, " ")
		if rest, more = strings.CutPrefix(behind, ";"); !more && behind != "" {
			return bad(odd)
		}
	}
	return nil
}
