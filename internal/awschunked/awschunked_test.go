package awschunked

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

var (
	sig64  = strings.Repeat("0f", 32)
	sig4A  = strings.Repeat("3045", 35) + "****"
	signed = ";chunk-signature=" + sig64
)

func crcOf(form Form, n int64) Declared { return Declared{form, n, []string{crc32Name}} }

// bodies are good and bad ones; whether they are good is said here, and the naive
// reader must say the same.
var bodies = []struct {
	name, body string
	d          Declared
	data       string // of a good one
	wrong      string // part of the error of a bad one
}{
	// As clients send them: aws-sdk-go-v2 and botocore, mc, AWS's own Java SDK.
	{"unsigned", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", crcOf(UnsignedTrailer, 5), "hello", ""},
	{"unsigned, empty", "0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", crcOf(UnsignedTrailer, 0), "", ""},
	{"unsigned, two chunks", "3\r\nhel\r\n2\r\nlo\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", crcOf(UnsignedTrailer, 5), "hello", ""},
	{"unsigned, as minio-go", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\n\r\n\r\n", crcOf(UnsignedTrailer, 5), "hello", ""},
	{"two trailers", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\nX-Amz-Checksum-Sha1:qvTGHdzF6KLavt4PO0gs2a6pQ00=\r\n\r\n", Declared{UnsignedTrailer, 5, []string{"x-amz-checksum-sha1", crc32Name}}, "hello", ""},
	{"signed", "5" + signed + "\r\nhello\r\n0" + signed + "\r\n\r\n", Declared{Form: Signed, Length: 5}, "hello", ""},
	{"signed, upper case as .NET", "A" + signed + "\r\nhellohello\r\n0" + signed + "\r\n\r\n", Declared{Form: Signed, Length: 10}, "hellohello", ""},
	{"signed, empty", "0" + signed + "\r\n\r\n", Declared{Form: Signed}, "", ""},
	{"signed trailer", "5" + signed + "\r\nhello\r\n0" + signed + "\r\nx-amz-checksum-crc32:NhCmhg==\r\nx-amz-trailer-signature:" + sig64 + "\r\n\r\n", crcOf(SignedTrailer, 5), "hello", ""},
	{"signed trailer, as minio-go", "5" + signed + "\r\nhello\r\n0" + signed + "\r\nx-amz-checksum-crc32:NhCmhg==\n\r\nx-amz-trailer-signature:" + sig64 + "\r\n\r\n", crcOf(SignedTrailer, 5), "hello", ""},
	{"SigV4A", "5;chunk-signature=" + sig4A + "\r\nhello\r\n0;chunk-signature=" + sig4A[:140] + "\r\n\r\n", Declared{Form: AsymmetricSigned, Length: 5}, "hello", ""},
	{"SigV4A trailer", "0;chunk-signature=" + sig4A + "\r\nx-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:" + sig4A + "\r\n\r\n", crcOf(AsymmetricSignedTrailer, 0), "", ""},
	{"data that looks like framing", "5\r\n0\r\n\r\n\r\n0\r\nx-amz-checksum-crc32:" + crcText("0\r\n\r\n") + "\r\n\r\n", crcOf(UnsignedTrailer, 5), "0\r\n\r\n", ""},
	{"a checksum for AWS alone", "0\r\nx-amz-checksum-md5:AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", Declared{UnsignedTrailer, 0, []string{"x-amz-checksum-md5"}}, "", ""},

	{"nothing", "", crcOf(UnsignedTrailer, 5), "", "breaks off"},
	{"cut in the size", "5", crcOf(UnsignedTrailer, 5), "", "breaks off"},
	{"cut in the data", "5\r\nhel", crcOf(UnsignedTrailer, 5), "", "breaks off"},
	{"cut behind the data", "5\r\nhello", crcOf(UnsignedTrailer, 5), "", "breaks off"},
	{"cut before the last chunk", "5\r\nhello\r\n", crcOf(UnsignedTrailer, 5), "", "breaks off"},
	{"cut before the trailers", "5\r\nhello\r\n0\r\n", crcOf(UnsignedTrailer, 5), "", "breaks off"},
	{"cut before the empty line", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n", crcOf(UnsignedTrailer, 5), "", "breaks off"},
	{"cut in the empty line", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r", crcOf(UnsignedTrailer, 5), "", "breaks off"},
	{"goes on", "0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n0", crcOf(UnsignedTrailer, 0), "", "behind its end"},
	{"another body", "0" + signed + "\r\n\r\n0" + signed + "\r\n\r\n", Declared{Form: Signed}, "", "behind its end"},
	{"more than declared", "6\r\nhello!\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "more than"},
	{"more in the second chunk", "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "more than"},
	{"less than declared", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", crcOf(UnsignedTrailer, 6), "", "holds 5 bytes"},
	{"a chunk longer than its size", "4\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "longer than its size"},
	{"a chunk shorter than its size", "5\r\nhell\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "framing"},
	{"a plus", "+5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "hexadecimal"},
	{"a minus", "-5\r\nhello\r\n0\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "hexadecimal"},
	{"a prefix", "0x5\r\nhello\r\n0\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "hexadecimal"},
	{"a leading zero", "05\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "hexadecimal"},
	{"two zeros", "5\r\nhello\r\n00\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "hexadecimal"},
	{"a space", "5 \r\nhello\r\n0\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "hexadecimal"},
	{"an underscore", "1_0\r\nhello\r\n0\r\n\r\n", crcOf(UnsignedTrailer, 16), "", "hexadecimal"},
	{"no size", "\r\nhello\r\n0\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "hexadecimal"},
	{"an overflow", "10000000000000005\r\nhello\r\n0\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "hexadecimal"},
	{"a letter beyond", "g\r\nhello\r\n0\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "hexadecimal"},
	{"a control character as a digit", "\x15\r\nhello\r\n0\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "hexadecimal"},
	{"LF behind a size", "5\nhello\r\n0\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "CRLF"},
	{"LF behind a chunk", "5\r\nhello\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "CRLF"},
	{"LF at the end", "0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\n", crcOf(UnsignedTrailer, 0), "", "breaks off"},
	{"LF between trailers", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\nx-amz-checksum-sha1:qvTGHdzF6KLavt4PO0gs2a6pQ00=\n\r\n\r\n", Declared{UnsignedTrailer, 5, []string{crc32Name, "x-amz-checksum-sha1"}}, "", "CRLF"},
	{"CR in a trailer", "0\r\nx-amz-checksum-crc32:AAA\rAAA==\r\n\r\n", crcOf(UnsignedTrailer, 0), "", "base64"},
	{"LF in a trailer", "0\r\nx-amz-checksum-crc32:AAA\nAAA==\r\n\r\n", crcOf(UnsignedTrailer, 0), "", "base64"},
	{"an endless line", strings.Repeat("0", 1<<10), crcOf(UnsignedTrailer, 5), "", "too long"},
	{"a signature in an unsigned form", "5" + signed + "\r\nhello\r\n0\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "extension"},
	{"no signature", "5\r\nhello\r\n0" + signed + "\r\n\r\n", Declared{Form: Signed, Length: 5}, "", "extension"},
	{"no signature at the end", "5" + signed + "\r\nhello\r\n0\r\n\r\n", Declared{Form: Signed, Length: 5}, "", "extension"},
	{"a short signature", "5" + signed[:60] + "\r\nhello\r\n0" + signed + "\r\n\r\n", Declared{Form: Signed, Length: 5}, "", "extension"},
	{"a signature that is none", "5" + signed[:80] + "x\r\nhello\r\n0" + signed + "\r\n\r\n", Declared{Form: Signed, Length: 5}, "", "extension"},
	{"a signature in upper case", "5;chunk-signature=" + strings.ToUpper(sig64) + "\r\nhello\r\n0" + signed + "\r\n\r\n", Declared{Form: Signed, Length: 5}, "", "extension"},
	{"a padded HMAC", "0;chunk-signature=" + sig4A + "\r\n\r\n", Declared{Form: Signed}, "", "extension"},
	{"SigV4A cut short", "0;chunk-signature=3045**\r\n\r\n", Declared{Form: AsymmetricSigned}, "", "extension"},
	{"SigV4A padded in the middle", "0;chunk-signature=" + sig4A[:70] + "**" + sig4A[72:] + "\r\n\r\n", Declared{Form: AsymmetricSigned}, "", "extension"},
	{"another extension", "5" + signed + ";a=b\r\nhello\r\n0" + signed + "\r\n\r\n", Declared{Form: Signed, Length: 5}, "", "extension"},
	{"another extension before", "5;a=b" + signed + "\r\nhello\r\n0" + signed + "\r\n\r\n", Declared{Form: Signed, Length: 5}, "", "extension"},
	{"no trailer", "5\r\nhello\r\n0\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "lacks a trailer"},
	{"a trailer in a form without", "0" + signed + "\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", Declared{Form: Signed}, "", "has trailers"},
	{"a trailer that is not announced", "0\r\nx-amz-checksum-sha1:AAAAAA==\r\n\r\n", crcOf(UnsignedTrailer, 0), "", "not announce"},
	{"an acl", "0\r\nx-amz-checksum-crc32:AAAAAA==\r\nx-amz-acl:public-read\r\n\r\n", crcOf(UnsignedTrailer, 0), "", "not announce"},
	{"a trailer twice", "0\r\nx-amz-checksum-crc32:AAAAAA==\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", crcOf(UnsignedTrailer, 0), "", "twice"},
	{"a name with a space", "0\r\nx-amz-checksum-crc32 :AAAAAA==\r\n\r\n", crcOf(UnsignedTrailer, 0), "", "not announce"},
	{"a value with a space", "0\r\nx-amz-checksum-crc32: AAAAAA==\r\n\r\n", crcOf(UnsignedTrailer, 0), "", "base64"},
	{"a value of another length", "0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n", crcOf(UnsignedTrailer, 0), "", "base64"},
	{"a value with loose bits", "0\r\nx-amz-checksum-crc32:AAAAAB==\r\n\r\n", crcOf(UnsignedTrailer, 0), "", "base64"},
	{"a wrong crc32", "5\r\nhellO\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", crcOf(UnsignedTrailer, 5), "", "not the checksum"},
	{"a wrong sha256", "0\r\nx-amz-checksum-sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n", Declared{UnsignedTrailer, 0, []string{"x-amz-checksum-sha256"}}, "", "not the checksum"},
	{"no trailer signature", "0" + signed + "\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", crcOf(SignedTrailer, 0), "", "lacks x-amz-trailer-signature"},
	{"a trailer signature in an unsigned form", "0\r\nx-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:" + sig64 + "\r\n\r\n", crcOf(UnsignedTrailer, 0), "", "x-amz-trailer-signature"},
	{"a trailer signature before its trailer", "0" + signed + "\r\nx-amz-trailer-signature:" + sig64 + "\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", crcOf(SignedTrailer, 0), "", "x-amz-trailer-signature"},
	{"a trailer signature twice", "0" + signed + "\r\nx-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:" + sig64 + "\r\nx-amz-trailer-signature:" + sig64 + "\r\n\r\n", crcOf(SignedTrailer, 0), "", "behind x-amz-trailer-signature"},
	{"a trailer signature that is none", "0" + signed + "\r\nx-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:0\r\n\r\n", crcOf(SignedTrailer, 0), "", "x-amz-trailer-signature"},
}

func b64(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }

func crcText(data string) string {
	h := checksums[crc32Name].make()
	_, _ = h.Write([]byte(data))
	return b64(h.Sum(nil))
}

// read reads r to its end in pieces of size.
func read(r io.Reader, size int) (string, error) {
	var out bytes.Buffer
	p := make([]byte, size)
	for {
		n, err := r.Read(p)
		out.Write(p[:n])
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return out.String(), err
		}
	}
}

func TestBodies(t *testing.T) {
	for _, c := range bodies {
		t.Run(c.name, func(t *testing.T) {
			agree(t, c.body, c.d)
			dec, err := NewDecoder(strings.NewReader(c.body), c.d)
			if err != nil {
				t.Fatal(err)
			}
			data, err := read(dec, 512)
			if c.wrong == "" {
				if err != nil || data != c.data || len(dec.Trailers()) != len(c.d.Trailers) {
					t.Errorf("%q, %v, %v", data, dec.Trailers(), err)
				}
				return
			}
			var own *Error
			if !errors.As(err, &own) || !strings.Contains(err.Error(), c.wrong) || dec.Trailers() != nil {
				t.Errorf("%v", err)
			}
			if errors.Is(err, io.ErrUnexpectedEOF) != (c.wrong == "breaks off") || errors.Is(err, io.EOF) {
				t.Errorf("%v is taken for another end", err)
			}
			if _, again := dec.Read(make([]byte, 1)); !errors.Is(again, err) {
				t.Errorf("after %v comes %v", err, again)
			}
		})
	}
}

// agree holds what must be true of every body.
func agree(t *testing.T, body string, d Declared) {
	t.Helper()
	want, good := naive(body, d)
	for _, size := range []int{1, 7, 64 << 10} {
		for name, src := range map[string]io.Reader{
			"whole": strings.NewReader(body), "one byte": iotest.OneByteReader(strings.NewReader(body)), "EOF with data": iotest.DataErrReader(strings.NewReader(body)),
		} {
			dec, err := NewDecoder(src, d)
			if err != nil {
				t.Fatal(err)
			}
			data, err := read(dec, size)
			if (err == nil) != good || good && data != want {
				t.Fatalf("decoded %s by %d: %q, %v; want %q, %t", name, size, data, err, want, good)
			}
			// What a sender with the declared length would need to look complete.
			if !good && int64(len(data)) >= max(d.Length, 1) {
				t.Fatalf("decoded %s by %d: all %d bytes of a bad body were given", name, size, len(data))
			}
		}
		for name, src := range map[string]io.Reader{"whole": strings.NewReader(body), "one byte": iotest.OneByteReader(strings.NewReader(body))} {
			ch, err := NewChecked(src, d)
			if err != nil {
				t.Fatal(err)
			}
			out, err := read(ch, size)
			if (err == nil) != good || good && out != body {
				t.Fatalf("checked %s by %d: %q, %v; want %t", name, size, out, err, good)
			}
			if !good && (len(out) >= len(body) && body != "" || !strings.HasPrefix(body, out)) {
				t.Fatalf("checked %s by %d: %q of %q", name, size, out, body)
			}
		}
	}
}

func TestReaderFails(t *testing.T) {
	for _, c := range []struct{ fails, want error }{
		{io.ErrClosedPipe, io.ErrClosedPipe}, {io.ErrUnexpectedEOF, io.ErrUnexpectedEOF}, {fmt.Errorf("closed: %w", io.EOF), io.ErrUnexpectedEOF},
	} {
		ch, err := NewChecked(io.MultiReader(strings.NewReader("0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"), iotest.ErrReader(c.fails)), crcOf(UnsignedTrailer, 0))
		if err != nil {
			t.Fatal(err)
		}
		var own *Error
		if out, err := read(ch, 100); !errors.As(err, &own) || !errors.Is(err, c.want) || errors.Is(err, io.EOF) || len(out) >= 36 {
			t.Errorf("%q, %v", out, err)
		}
	}
	ch, err := NewChecked(silent{}, crcOf(UnsignedTrailer, 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(ch, 100); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

// Trailers are told only where everything is read.
func TestTrailersComeLast(t *testing.T) {
	dec, err := NewDecoder(iotest.DataErrReader(strings.NewReader(bodies[0].body)), bodies[0].d)
	if err != nil {
		t.Fatal(err)
	}
	for left := 5; left > 0; left-- {
		if n, err := dec.Read(make([]byte, 1)); n != 1 || err != nil || left > 1 && dec.Trailers() != nil {
			t.Fatal(n, err, dec.Trailers())
		}
	}
	if _, err := dec.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || !slices.Equal(dec.Trailers(), []Trailer{{crc32Name, "NhCmhg=="}}) {
		t.Error(err, dec.Trailers())
	}
}

// Nothing but what Declare makes is read.
func TestUndeclared(t *testing.T) {
	for _, d := range []Declared{{}, {Form: 99}, {Form: -1}, {Form: Signed, Length: -1}, {Form: UnsignedTrailer}, {Signed, 0, []string{crc32Name}}, {UnsignedTrailer, 0, []string{"x-amz-acl"}}} {
		dec, err := NewDecoder(strings.NewReader("0\r\n\r\n"), d)
		if err == nil {
			t.Errorf("%+v is read", d)
		}
		if n, err := dec.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%+v: %d, %v", d, n, err)
		}
	}
}

// The check value of CRC-64/NVME in the NVM Command Set Specification's form.
func TestNVME(t *testing.T) {
	if got := crc64.Checksum([]byte("123456789"), nvmeTable); got != 0xae8b14860a799888 {
		t.Errorf("%x", got)
	}
}

func TestTrailersLength(t *testing.T) {
	d := Declared{UnsignedTrailer, 0, []string{crc32Name, "x-amz-checksum-sha256"}}
	if got, want := d.TrailersLength(), len(crc32Name+":NhCmhg==\r\n")+len("x-amz-checksum-sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\r\n"); got != int64(want) {
		t.Errorf("%d, want %d", got, want)
	}
}

// 256 MiB in one chunk, as one SDK sends it, and no more memory than for a byte.
func TestConstantMemory(t *testing.T) {
	const size = 256 << 20
	d := Declared{Form: Signed, Length: size}
	body := io.MultiReader(strings.NewReader(fmt.Sprintf("%x%s\r\n", size, signed)), io.LimitReader(zeros{}, size), strings.NewReader("\r\n0"+signed+"\r\n\r\n"))
	dec, err := NewDecoder(body, d)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := io.Copy(io.Discard, dec)
	runtime.ReadMemStats(&after)
	if n != size || err != nil {
		t.Fatal(n, err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// FuzzBody: stream and naive reader agree, in pieces of any size; a good body comes
// through Checked as it went in, and what Decoder gives encodes to a good body.
func FuzzBody(f *testing.F) {
	for _, c := range bodies {
		f.Add(c.body, int(c.d.Form), c.d.Length, strings.Join(c.d.Trailers, ","))
	}
	f.Fuzz(func(t *testing.T, body string, form int, length int64, list string) {
		d := Declared{Form: Form(form), Length: length}
		if d.Form.trailing() {
			for name := range strings.SplitSeq(list, ",") {
				if !slices.Contains(d.Trailers, name) {
					d.Trailers = append(d.Trailers, name)
				}
			}
		}
		if _, err := newChecker(d); err != nil {
			return
		}
		agree(t, body, d)
		if data, good := naive(body, d); good {
			agree(t, encode(data, d), d)
			if _, good := naive(encode(data, d), d); !good {
				t.Fatalf("%q encodes to a bad body", data)
			}
		}
	})
}

// encode writes data in chunks of 3 with placeholder signatures.
func encode(data string, d Declared) string {
	ext, sig := "", sig64
	if d.Form >= AsymmetricSigned {
		sig = sig4A
	}
	if d.Form.signed() {
		ext = ";chunk-signature=" + sig
	}
	var b strings.Builder
	for rest := data; rest != ""; {
		n := min(3, len(rest))
		fmt.Fprintf(&b, "%x%s\r\n%s\r\n", n, ext, rest[:n])
		rest = rest[n:]
	}
	b.WriteString("0" + ext + "\r\n")
	for _, name := range d.Trailers {
		sum := make([]byte, checksums[name].size)
		if checksums[name].make != nil {
			h := checksums[name].make()
			_, _ = h.Write([]byte(data))
			sum = h.Sum(nil)
		}
		b.WriteString(name + ":" + b64(sum) + "\r\n")
	}
	if d.Form.trailing() && d.Form.signed() {
		b.WriteString("x-amz-trailer-signature:" + sig + "\r\n")
	}
	return b.String() + "\r\n"
}
