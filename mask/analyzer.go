package mask

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/sallyport/sallyport/mask/detect"
)

// Analyzer finds in texts what needs a model of language to be found: names,
// addresses. It returns the spans of each text, in bytes, ordered and not
// overlapping. An error means that nobody looked, and the answer is withheld.
type Analyzer interface {
	Analyze(ctx context.Context, texts []string) ([][]detect.Span, error)
}

// analysis is what the Analyzer says of the texts of one document. It is asked once
// for all of them: the document is walked twice, first to collect.
type analysis struct {
	collecting bool
	texts      []string
	seen       map[string][]detect.Span
}

func newAnalysis() *analysis { return &analysis{collecting: true, seen: map[string][]detect.Span{}} }

// note collects a text that no path marks.
func (a *analysis) note(text []byte) {
	if _, ok := a.seen[string(text)]; !ok && len(text) > 0 && utf8.Valid(text) {
		s := string(text)
		a.seen[s] = nil
		a.texts = append(a.texts, s)
	}
}

var errAnalyzer = errors.New("mask.presidio did not analyze it")

// ask gets the spans of what was collected. A span that is none ends it: then
// nothing that was said can be relied on.
func (a *analysis) ask(ctx context.Context, an Analyzer) error {
	a.collecting = false
	if len(a.texts) == 0 {
		return nil
	}
	spans, err := an.Analyze(ctx, a.texts)
	if err != nil {
		return fmt.Errorf("%w: %w", errAnalyzer, err)
	}
	if len(spans) != len(a.texts) {
		return errAnalyzer
	}
	for i, text := range a.texts {
		at := 0
		for _, s := range spans[i] {
			if s.Start < at || s.End <= s.Start || s.End > len(text) {
				return errAnalyzer
			}
			at = s.End
		}
		a.seen[text] = spans[i]
	}
	return nil
}
