package mask

// Text is s as it may be published and recorded: with what the detectors find in it
// masked. What goes to AWS is not touched. A Masker without detectors, and a nil
// one, return s itself.
func (m *Masker) Text(s string) string {
	out, _ := m.text("", s)
	return out
}

func (m *Masker) text(name, s string) (string, bool) {
	if m == nil || m.scan == nil {
		return s, false
	}
	w := &walk{found: &findings{}, swap: m.swap, scan: m.scan}
	out, changed := w.detect(newLabel(name), []byte(s))
	if !changed {
		return s, false
	}
	return string(out), true
}

// Params is a copy of request parameters as they may be published: texts and bytes
// with what the detectors find in them masked, under the name that they stand
// under. Values of other types stay.
func (m *Masker) Params(params map[string]any) map[string]any {
	out, _ := m.param(newLabel(""), params).(map[string]any)
	return out
}

func (m *Masker) param(l label, v any) any {
	switch v := v.(type) {
	case string:
		out, _ := m.text(l.context, v)
		return out
	case []byte:
		if out, changed := m.text(l.context, string(v)); changed {
			return []byte(out)
		}
	case []string:
		out := make([]string, len(v))
		for i, s := range v {
			out[i], _ = m.text(l.context, s)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = m.param(l, e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		named := ""
		for k, e := range v {
			if s, ok := e.(string); ok && nameName([]byte(k)) {
				named = s
			}
		}
		for k, e := range v {
			here := newLabel(k)
			switch {
			case dynamoType(k) && l.name != "":
				here = l
			case named != "" && valueName([]byte(k)):
				here.context = named
			}
			name, _ := m.text("", k)
			out[name] = m.param(here, e)
		}
		return out
	case map[string]string:
		out := make(map[string]string, len(v))
		for k, s := range v {
			name, _ := m.text("", k)
			out[name], _ = m.text(k, s)
		}
		return out
	}
	return v
}
