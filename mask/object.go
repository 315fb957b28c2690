package mask

import (
	"errors"
	"io"
	"net/http"
	"strings"
)

// open is the body of an answer that is not read whole, as it goes out. h is made to
// fit it.
func (p *Plan) open(w *walk, status int, h http.Header, body io.Reader) (io.Reader, error) {
	if body == nil {
		body = http.NoBody
	}
	if !p.decodes() {
		return body, nil
	}
	part := status == http.StatusPartialContent
	plain, decoded, err := decodeStream(h, body)
	switch {
	case err != nil:
		return nil, err
	case decoded && part:
		return nil, errors.New("it is a part of something encoded, which cannot be looked at alone")
	case decoded:
		h.Del("Content-Encoding")
		h.Del("Content-Length")
	}
	// Whether anything is masked is not known when these go out.
	dropDigests(h)
	h.Del("X-Amz-Checksum-Type")
	if digestETag.MatchString(h.Get("Etag")) {
		h.Del("Etag")
	}
	if p.events {
		h.Del("Content-Length")
		return newEventReader(p, w, plain), nil
	}
	return newObjectReader(w, plain), nil
}

// decodes reports that an answer which is not read whole is looked into.
func (p *Plan) decodes() bool {
	return p.events && (p.Secret() || p.masker.scan != nil) || p.masksObject()
}

// masksObject reports that the answer is an object that is masked as it streams.
func (p *Plan) masksObject() bool {
	return p.object && !p.Secret() && p.masker.scan != nil && p.masker.objects
}

// dropDigests takes out digests of the real body: they would fail in the SDK, and
// would let an agent test guesses of a short secret.
func dropDigests(h http.Header) {
	for k := range h {
		if l := strings.ToLower(k); strings.HasPrefix(l, "x-amz-checksum-") && l != "x-amz-checksum-algorithm" && l != "x-amz-checksum-type" {
			delete(h, k)
		}
	}
	for _, k := range []string{"Content-Md5", "Digest", "Repr-Digest", "Content-Digest", "X-Amz-Sha256-Tree-Hash", "X-Amz-Content-Sha256"} {
		h.Del(k)
	}
}
