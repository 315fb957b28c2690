package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/privatefile"
	"github.com/sallyport/sallyport/internal/secret"
	"github.com/sallyport/sallyport/internal/terminal"
	"github.com/sallyport/sallyport/launch"
)

// login is how an approver gets a token of their own on a machine without a browser.
type login struct {
	issuer, client, caFile string
	scopes                 []string
	cmd                    *cobra.Command

	mu      sync.Mutex
	silent  bool // there is nowhere to say where to log in
	held    secret.String
	expires time.Time
}

func (l *login) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&l.issuer, "issuer", "", "log in at this issuer, in a browser on any device; with --client-id")
	f.StringVar(&l.client, "client-id", "", "id of the public client to log in with, which is the audience of approvers; with --token-file the token is kept there until it expires")
	f.StringVar(&l.caFile, "issuer-ca-file", "", "roots of a private identity provider")
	f.StringSliceVar(&l.scopes, "scopes", nil, "scopes to ask for (default openid,email,profile)")
	l.cmd = c
}

func (l *login) wanted() bool { return l.issuer != "" || l.client != "" }

// almostOver is how long a token must hold still to be sent.
const almostOver = 30 * time.Second

var errLoginOver = errors.New("your login is over: leave, and begin again")

// token is one that was got before, here or in file, or that of a new login, which file
// keeps if it is named.
func (l *login) token(ctx context.Context, file string) (secret.String, error) {
	if l.issuer == "" || l.client == "" {
		return secret.String{}, &usageError{errors.New("--issuer and --client-id belong together"), l.cmd.CommandPath()}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Until(l.expires) > almostOver {
		return l.held, nil
	}
	if file != "" {
		if token, expires, err := launch.FileTokens(file).Token(ctx); err == nil && time.Until(expires) > almostOver {
			return token, nil
		}
	}
	if l.silent {
		return secret.String{}, errLoginOver
	}
	source := launch.DeviceLogin{Issuer: l.issuer, CAFile: l.caFile, ID: l.client, Scopes: l.scopes, Prompt: func(uri, code string) { sayWhere(l.cmd.ErrOrStderr(), uri, code) }}
	token, expires, err := source.Token(ctx)
	if err != nil {
		return secret.String{}, err
	}
	l.held, l.expires = token, expires
	if file != "" {
		if err := privatefile.Replace(file, []byte(token.Reveal()+"\n"), 0o600); err != nil {
			return secret.String{}, fmt.Errorf("--token-file: %w", err)
		}
	}
	return token, nil
}

// before logs in where that is due, and from then on says nothing: a view has the
// terminal.
func (l *login) before(ctx context.Context, file string) error {
	if !l.wanted() {
		return nil
	}
	_, err := l.token(ctx, file)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = true
	return err
}

func sayWhere(w io.Writer, uri, code string) {
	fmt.Fprintf(w, "\nLog in at %s\nand enter the code %s\n", terminal.Escape(uri, 1000), terminal.Escape(code, 100))
}
