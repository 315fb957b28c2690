// Package awschunked reads S3's aws-chunked content coding, strictly and as a
// stream: chunks of `SIZE[;chunk-signature=SIG]CRLF DATA CRLF`, a chunk of size 0,
// trailers `name:value CRLF`, and an empty line (Amazon S3 API Reference,
// "Signature calculations: transferring payload in multiple chunks", with and
// without trailing headers).
//
// What a request declares in its headers is Declared. Decoder gives the bytes
// inside, Checked the encoded bytes as they came; both hold the body to all that was
// declared: length, trailers, checksums. They keep back one byte until everything
// is found right, so that whoever sends on what they give never completes a body
// that lies. A body is read in constant memory.
//
// The clients' signatures of chunks are read and ignored: clients behind the
// gateway hold placeholder keys. What is refused is an *Error, whose text holds no
// byte of the body.
package awschunked
