package slack

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/sallyport/sallyport/approvals"
)

// What of a request is shown. Slack takes 3,000 characters in a text and 50 blocks,
// and refuses messages of some 13,000 characters in all.
const (
	maxTitle = 150
	maxText  = 2900
	maxFact  = 400
	maxLine  = 900
	maxPlain = 600   // of the line for notifications
	maxEnd   = 1900  // of how it ended, which comes to the rest
	maxBody  = 10800 // of the rest, without its title
)

// title is a text of ours alone.
func title(text string) slack.Block {
	return slack.NewHeaderBlock(slack.NewTextBlockObject(slack.PlainTextType, cut(text, maxTitle), false, false))
}

func waits(r approvals.Request) string {
	return fmt.Sprintf("Approval needed, risk %d of 100", r.Risk.Score)
}

func ended(o approvals.Outcome) string {
	switch o.Outcome {
	case approvals.Approved:
		return "Approved"
	case approvals.Denied:
		return "Denied"
	case approvals.Expired:
		return "Expired: nobody answered in time"
	case approvals.Cancelled:
		return "Cancelled"
	case approvals.Revoked:
		return "Approved; its grant was ended"
	}
	return "Ended"
}

// body shows a request: plain words first. Whatever is not a constant of ours stands
// in text elements of rich_text blocks, in code style or preformatted. Slack parses no
// markup, mentions, links or dates in those, so there is nothing to escape, and no
// style of an agent's to take for ours. Of what does not fit it says how much that is.
func body(r approvals.Request) []slack.Block {
	s := approvals.Summarize(r)
	s.Facts = fitting(s)
	facts := make([]slack.RichTextSectionElement, 0, 3*len(s.Facts))
	room := maxText
	blocks := []slack.Block{slack.NewRichTextBlock("what", preformatted(cut(s.Headline, maxLine)))}
	flush := func() {
		if len(facts) > 0 {
			blocks = append(blocks, slack.NewRichTextBlock(fmt.Sprintf("facts-%d", len(blocks)), slack.NewRichTextSection(facts...)))
		}
		facts, room = nil, maxText
	}
	for _, f := range s.Facts {
		size := factSize(f)
		if size > room {
			flush()
		}
		room -= size
		facts = append(facts, bold(f.Name), ours(": "), code(cut(f.Text, maxFact)), ours("\n"))
	}
	flush()
	if len(s.Resources) > 0 {
		blocks = append(blocks, slack.NewRichTextBlock("resources", slack.NewRichTextSection(bold("Resources")), preformatted(lines(s.Resources))))
	}
	if len(s.Parameters) > 0 {
		blocks = append(blocks, slack.NewRichTextBlock("parameters", slack.NewRichTextSection(bold("Parameters, masked")), preformatted(lines(parameters(s)))))
	}
	const layout = "2006-01-02 15:04:05"
	return append(blocks, slack.NewRichTextBlock("ids", slack.NewRichTextSection(
		bold("Approval"), ours(": "), code(s.Approval), ours("\n"),
		bold("Digest"), ours(": "), code(s.Digest), ours("\n"),
		bold("Asked"), ours(": "), code(s.Created.Format(layout)+", until "+s.Expires.Format(layout+" MST")),
	)))
}

// fitting are the facts that a message has room for beside all else. Names and tags of
// resources are left out before anything else is, the last first, and counted: whoever may
// tag could otherwise make a message that Slack refuses, of which nobody would hear.
func fitting(s approvals.Summary) []approvals.Fact {
	room := maxBody - length(cut(s.Headline, maxLine)) - length(lines(s.Resources)) - length(lines(parameters(s))) - 400 // for headings and ids
	read := func(f approvals.Fact) bool { return f.Name == approvals.FactTags || f.Name == approvals.FactUnread }
	for _, f := range s.Facts {
		if !read(f) {
			room -= factSize(f)
		}
	}
	out, left := make([]approvals.Fact, 0, len(s.Facts)+1), 0
	for _, f := range s.Facts {
		if read(f) {
			if room -= factSize(f); room < 0 {
				left++
				continue
			}
		}
		out = append(out, f)
	}
	if left > 0 {
		out = append(out, approvals.Fact{Name: approvals.FactTags, Text: fmt.Sprintf("and %d more lines, which `sallyport approvals show` has", left)})
	}
	return out
}

func factSize(f approvals.Fact) int { return length(f.Name) + length(cut(f.Text, maxFact)) + 3 }

func parameters(s approvals.Summary) []string {
	list := make([]string, len(s.Parameters))
	for i, p := range s.Parameters {
		list[i] = p.Name + " = " + p.Text
	}
	return list
}

// verdict says who decided. Names and reasons are people's.
func verdict(o approvals.Outcome) slack.Block {
	return slack.NewRichTextBlock("outcome", slack.NewRichTextSection(
		bold("Outcome"), ours(": "), code(cut(o.Words(), maxEnd)), ours("\n"),
		bold("At"), ours(": "), code(o.At.UTC().Format("2006-01-02 15:04:05 MST")),
	))
}

// The buttons. Their value is bound to the digest of what the message shows.
const (
	approve  = "approve"
	deny     = "deny"
	denied   = "deny_with_reason" // callback of the form
	reasonID = "reason"
)

func buttons(r approvals.Request) slack.Block {
	text := func(s string) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
	}
	yes := slack.NewButtonBlockElement(approve, value(r.Approval, r.Digest), text("Approve")).WithStyle(slack.StylePrimary).
		WithConfirm(slack.NewConfirmationBlockObject(text("Approve this request?"), text("It is let through once, exactly as it is shown here."), text("Approve"), text("Not now")))
	no := slack.NewButtonBlockElement(deny, value(r.Approval, r.Digest), text("Deny")).WithStyle(slack.StyleDanger)
	return slack.NewActionBlock("answer", yes, no)
}

// form asks for the reason of a denial; about is the button's value.
func form(about string) slack.ModalViewRequest {
	text := func(s string) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
	}
	input := slack.NewPlainTextInputBlockElement(nil, reasonID)
	input.Multiline, input.MaxLength = true, approvals.MaxReason/4 // characters, of up to 4 bytes
	block := slack.NewInputBlock(reasonID, text("Why? The agent is told, and it is on record."), nil, input)
	block.Optional = true
	return slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: denied, PrivateMetadata: about,
		Title: text("Deny the request"), Submit: text("Deny"), Close: text("Not now"), Blocks: slack.Blocks{BlockSet: []slack.Block{block}},
	}
}

func value(approval, digest string) string { return approval + "." + digest }

// parseValue reads a button's value; what is none gives two texts that name nothing.
func parseValue(s string) (approval, digest string) {
	approval, digest, _ = strings.Cut(s, ".")
	return approval, digest
}

func bold(s string) slack.RichTextSectionElement {
	return slack.NewRichTextSectionTextElement(s, &slack.RichTextSectionTextStyle{Bold: true})
}

func ours(s string) slack.RichTextSectionElement {
	return slack.NewRichTextSectionTextElement(s, nil)
}

// code is a text of others. Slack refuses messages with an empty one in them.
func code(s string) slack.RichTextSectionElement {
	return slack.NewRichTextSectionTextElement(cmp.Or(s, "-"), &slack.RichTextSectionTextStyle{Code: true})
}

func preformatted(s string) slack.RichTextElement {
	return &slack.RichTextPreformatted{Type: slack.RTEPreformatted, Elements: []slack.RichTextSectionElement{slack.NewRichTextSectionTextElement(s, nil)}}
}

// lines are as many of list as fit, each on a line; none of them has a line break of
// its own, as Summarize makes them.
func lines(list []string) string {
	var b strings.Builder
	room := maxText - 100
	for i, l := range list {
		l = ends(l, maxLine)
		if room -= length(l) + 1; room < 0 {
			fmt.Fprintf(&b, "and %d more, which `sallyport approvals show` has", len(list)-i)
			return b.String()
		}
		b.WriteString(l)
		if i < len(list)-1 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// length is in UTF-16 units, which is never less than what Slack counts.
func length(s string) int {
	n := 0
	for _, c := range s {
		n += max(utf16.RuneLen(c), 1)
	}
	return n
}

// cut shortens a text to at most limit, and says that it did.
func cut(s string, limit int) string {
	if length(s) <= limit {
		return s
	}
	mark := fmt.Sprintf(" …[cut, %d characters in all]", length(s))
	n := length(mark)
	for i, c := range s {
		if n += max(utf16.RuneLen(c), 1); n > limit {
			return s[:i] + mark
		}
	}
	return s
}

// ends is cut, but what it leaves out is in the middle: padding pushes no end out of sight.
func ends(s string, limit int) string {
	if length(s) <= limit {
		return s
	}
	tail, n := len(s), 0
	for n < limit/4 {
		c, size := utf8.DecodeLastRuneInString(s[:tail])
		tail -= size
		n += max(utf16.RuneLen(c), 1)
	}
	return cut(s, limit-n-2) + "… " + s[tail:]
}

// plain is a line as a message's text, which Slack parses: the three characters that
// begin mentions, links and dates are escaped as Slack documents it, and those that
// format are written as escapes, as nothing else stops them.
func plain(line string) string {
	return markup.Replace(cut(line, maxPlain))
}

var markup = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "*", `\x2a`, "_", `\x5f`, "~", `\x7e`, "`", `\x60`, "@", `\x40`, "#", `\x23`, "://", `:\x2f/`)
