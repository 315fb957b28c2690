package postform

import (
	"io"
	"strings"
)

// Body gives a form of fields and the file, and its length in bytes, -1 where that is
// not known. The form's end is written only after file has found its own form's end
// right; else reading fails with file's error. Names and values must not hold what
// would end them: names no quote and no line break, values no line that begins with
// the boundary. One that nobody could guess makes sure of the last, and of the file.
func Body(fields []Field, file *File, boundary string) (io.Reader, int64) {
	var b strings.Builder
	for _, f := range fields {
		b.WriteString("--" + boundary + crlf + `Content-Disposition: form-data; name="` + f.Name + `"` + crlf + crlf + f.Value + crlf)
	}
	// S3 takes no notice of the file's own type. Its name is given since some servers
	// take a part without one for an ordinary field.
	b.WriteString("--" + boundary + crlf + `Content-Disposition: form-data; name="` + FileField + `"; filename="` + FileField + `"` + crlf + crlf)
	end := crlf + "--" + boundary + closing
	length := int64(-1)
	if file.most >= 0 {
		// Where the client's form ends in CRLF, its file is two bytes shorter and ours ends
		// so too: the length is known before that is.
		length = int64(b.Len()+len(end)) + file.most
	}
	return io.MultiReader(strings.NewReader(b.String()), file, &ending{file: file, text: end}), length
}

// ending is the end of the form that is written: it is read after file has said io.EOF.
type ending struct {
	file *File
	text string
	r    *strings.Reader
}

// Read implements io.Reader.
func (e *ending) Read(p []byte) (int, error) {
	if e.r == nil {
		e.r = strings.NewReader(e.text + e.file.epilogue)
	}
	return e.r.Read(p)
}
