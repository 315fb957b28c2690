// Package presidio asks a Microsoft Presidio analyzer (https://microsoft.github.io/presidio/)
// where texts hold personal data. It accepts what POST /analyze answers and refuses
// everything else: an error means that nobody looked.
package presidio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/mask/detect"
)

// Options configure a Client.
type Options struct {
	URL       *url.URL      // of the analyzer, without /analyze. Required
	Language  string        // of the texts, ISO 639-1. "" is en
	Entities  []string      // entity types such as PERSON; empty: all that the analyzer knows
	Threshold float64       // the least score, 0 to 1
	Timeout   time.Duration // of one question; 0 is DefaultTimeout
	Transport http.RoundTripper
}

// DefaultTimeout is how long an answer of AWS waits for the analyzer.
const DefaultTimeout = 5 * time.Second

const (
	// maxRunes is how much text goes into one question. spaCy, below Presidio, takes a
	// million characters at most.
	maxRunes = 200_000
	// maxAnswer bounds an answer of the analyzer, in bytes.
	maxAnswer = 16 << 20
	// separator stands between two texts of one question.
	separator = "\n\n"
)

// Client is a mask.Analyzer. It is safe for concurrent use.
type Client struct {
	o    Options
	http *http.Client
}

// New returns a Client.
func New(o Options) (*Client, error) {
	if o.URL == nil || o.URL.Scheme != "http" && o.URL.Scheme != "https" || o.URL.Host == "" {
		return nil, errors.New("presidio: the URL must be http(s)://host:port")
	}
	if o.Language == "" {
		o.Language = "en"
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	return &Client{o: o, http: &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("the analyzer redirected; texts go to the configured address only")
	}}}, nil
}

// Analyze implements mask.Analyzer. The rule of a span is presidio:ENTITY_TYPE.
func (c *Client) Analyze(ctx context.Context, texts []string) ([][]detect.Span, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	out := make([][]detect.Span, len(texts))
	for from := 0; from < len(texts); {
		to, runes := from, 0
		for ; to < len(texts); to++ {
			n := utf8.RuneCountInString(texts[to])
			if to > from && runes+n > maxRunes {
				break
			}
			runes += n + len(separator)
		}
		if err := c.batch(ctx, texts[from:to], out[from:to]); err != nil {
			return nil, err
		}
		from = to
	}
	return out, nil
}

type finding struct {
	Start  *int     `json:"start"` // in characters, not bytes
	End    *int     `json:"end"`
	Score  *float64 `json:"score"`
	Entity string   `json:"entity_type"`
}

func (c *Client) batch(ctx context.Context, texts []string, out [][]detect.Span) error {
	joined := strings.Join(texts, separator)
	question := map[string]any{"text": joined, "language": c.o.Language, "score_threshold": c.o.Threshold}
	if len(c.o.Entities) > 0 {
		question["entities"] = c.o.Entities
	}
	body, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("presidio: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.o.URL.JoinPath("analyze").String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("presidio: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("presidio: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		// Its text may quote what it was asked.
		return fmt.Errorf("presidio: the analyzer answered %d", resp.StatusCode)
	}
	var found []finding
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil || len(answer) > maxAnswer || json.Unmarshal(answer, &found) != nil || found == nil {
		return errors.New("presidio: the analyzer's answer is not a list of findings")
	}
	return split(joined, texts, found, out)
}

// split turns findings in the joined text into spans of each text. A finding that
// reaches over several texts is cut at their ends.
func split(joined string, texts []string, found []finding, out [][]detect.Span) error {
	offsets := make([]int, 0, len(joined)+1) // of each character
	for i := range joined {
		offsets = append(offsets, i)
	}
	offsets = append(offsets, len(joined))
	for _, f := range found {
		if f.Start == nil || f.End == nil || f.Score == nil || *f.Start < 0 || *f.End <= *f.Start || *f.End >= len(offsets) {
			return errors.New("presidio: a finding lies outside the text")
		}
	}
	slices.SortFunc(found, func(a, b finding) int { return *a.Start - *b.Start })
	begin := 0
	for i, text := range texts {
		end := begin + len(text)
		for _, f := range found {
			s := detect.Span{Start: max(offsets[*f.Start], begin) - begin, End: min(offsets[*f.End], end) - begin, Rule: "presidio:" + f.Entity}
			if s.Start >= s.End {
				continue
			}
			if k := len(out[i]); k > 0 && s.Start < out[i][k-1].End {
				out[i][k-1].End = max(out[i][k-1].End, s.End) // two findings overlap
				continue
			}
			out[i] = append(out[i], s)
		}
		begin = end + len(separator)
	}
	return nil
}
