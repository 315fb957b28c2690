package launch

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Render writes vars for a shell to evaluate: "sh" (also "bash" and
// "zsh"), "fish", or "json", an object of names to values with null for what is removed.
// No value can end its quotes, whatever it holds; a NUL, which no environment can
// carry, is an error.
func Render(w io.Writer, shell string, vars []Var) error {
	for _, v := range vars {
		if strings.ContainsRune(v.Value, 0) {
			return fmt.Errorf("the value of %s has a NUL", v.Name)
		}
		if !validName(v.Name) {
			return fmt.Errorf("%q cannot be the name of a variable in a shell", v.Name)
		}
	}
	switch shell {
	case "sh", "bash", "zsh":
		return renderLines(w, vars, func(v Var) string {
			if v.Unset {
				return "unset " + v.Name
			}
			return "export " + v.Name + "='" + strings.ReplaceAll(v.Value, "'", `'\''`) + "'"
		})
	case "fish":
		return renderLines(w, vars, func(v Var) string {
			if v.Unset {
				return "set -e " + v.Name
			}
			// Between single quotes fish knows \\ and \' and nothing else.
			return "set -gx " + v.Name + " '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v.Value) + "'"
		})
	case "json":
		m := map[string]*string{}
		for _, v := range vars {
			if v.Unset {
				m[v.Name] = nil
			} else {
				m[v.Name] = &v.Value
			}
		}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(m)
	}
	return fmt.Errorf("unknown shell %q; use sh, bash, zsh, fish or json", shell)
}

func renderLines(w io.Writer, vars []Var, line func(Var) string) error {
	for _, v := range vars {
		if _, err := io.WriteString(w, line(v)+"\n"); err != nil {
			return fmt.Errorf("write the environment: %w", err)
		}
	}
	return nil
}

// validName keeps names that were inherited (AWS_ENDPOINT_URL_...) from being a
// command.
func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
