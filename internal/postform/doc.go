// Package postform reads and writes the form of a browser upload to S3, POST Object
// (Amazon S3 API Reference, "Browser-based uploads using POST"; RFC 7578, RFC 2046):
// fields, and behind them one file to the end.
//
// Read takes the fields into memory, which S3 bounds to 20 KB, and leaves the file
// unread. A File streams in constant memory, and says io.EOF only after it has found
// that the form ends with the file: whoever sends the file on, and its own end of the
// form after it, never completes a form that lies. Body is that.
//
// What readers of forms take in different ways is refused with an *Error: a second
// spelling of a parameter, escapes in names, encodings of parts, fields behind the
// file, text before the first or behind the last boundary. The text of an Error holds
// no byte of the form.
package postform
