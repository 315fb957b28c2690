package gateway

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/sallyport/sallyport/refusal"
)

// streamed is an answer on its way from AWS to the client.
type streamed struct {
	x    *exchange
	from io.Reader

	headless bool   // its header ends it, and is withheld
	rest     int64  // bytes that are still to come, where its length is told; else negative
	last     []byte // the byte that would complete it, which is withheld

	// Of a call that people approved: it is read to its end also where the client leaves.
	survives bool
	gone     bool   // the client has left
	kept     []byte // what went by
	most     int    // bytes of it
}

// newStreamed is of an answer with this status and header to a request of this method.
func newStreamed(x *exchange, from io.Reader, status int, h http.Header) *streamed {
	s := &streamed{x: x, from: from, headless: endsWithHead(x.r.Method, status, h), rest: -1}
	if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil && !s.headless {
		s.rest = n
	}
	return s
}

// endsWithHead reports an answer that is complete with its header (RFC 9112, section
// 6.3).
func endsWithHead(method string, status int, h http.Header) bool {
	return method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified || h.Get("Content-Length") == "0"
}

// pass gives the client what comes until its end, but for what is withheld. Before a
// byte goes out it is hashed, and on its way to the record. What could not be masked is
// never an end.
func (s *streamed) pass() *refusal.Error {
	buf, _ := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		n, err := s.from.Read(*buf)
		out := (*buf)[:n]
		if s.rest >= 0 && n > 0 {
			switch s.rest -= int64(n); {
			case s.rest < 0 || len(s.last) > 0:
				return refusal.New(refusal.Unavailable, "AWS's answer is longer than it said")
			case s.rest == 0:
				s.last = []byte{out[n-1]}
				out = out[:n-1]
			}
		}
		if bad := s.give(out); bad != nil {
			return bad
		}
		if err == io.EOF {
			if s.rest > 0 {
				return refusal.New(refusal.Unavailable, "AWS broke the answer off")
			}
			return s.note(s.last)
		}
		var unmasked *refusal.Error
		if errors.As(err, &unmasked) {
			return unmasked
		}
		if err != nil {
			return refusal.Wrap(refusal.Unavailable, err, "AWS broke the answer off")
		}
	}
}

func (s *streamed) give(p []byte) *refusal.Error {
	if len(p) == 0 {
		return nil
	}
	if err := s.note(p); err != nil {
		return err
	}
	if s.headless {
		return nil // of HEAD and the like: there is nothing
	}
	if s.gone = s.survives && (s.gone || s.x.r.Context().Err() != nil); s.gone {
		return nil
	}
	if _, err := s.x.w.Write(p); err == nil && http.NewResponseController(s.x.w).Flush() == nil {
		return nil
	}
	if s.gone = s.survives; s.gone {
		return nil
	}
	return errClientLeft
}

// left reports a client that did not get all that was not withheld. Without a length the
// answer's end is a chunk that is still to come: who has left does not get it either.
func (s *streamed) left() bool {
	return s.gone || len(s.last) == 0 && s.x.r.Context().Err() != nil
}

// note is for all that goes out.
func (s *streamed) note(p []byte) *refusal.Error {
	if len(p) == 0 {
		return nil
	}
	s.x.passed.add(p)
	s.kept = append(s.kept, p[:min(len(p), max(s.most-len(s.kept), 0))]...)
	if _, err := s.x.download.Write(p); err != nil {
		return refusal.Of(err)
	}
	return nil
}
