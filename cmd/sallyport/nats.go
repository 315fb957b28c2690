package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/bus"
)

// natsFlags say which NATS server to talk to. With the embedded server everything
// is found under state_dir.
type natsFlags struct{ config, url, creds, caFile, prefix string }

func (n *natsFlags) add(c *cobra.Command) {
	configFlag(c, &n.config)
	c.Flags().StringVar(&n.url, "nats", "", "NATS URL (default: from the configuration)")
	c.Flags().StringVar(&n.creds, "creds", "", "NATS credentials file")
	c.Flags().StringVar(&n.caFile, "nats-ca-file", "", "roots of a NATS server with a private CA, with --nats (default: the system's)")
	c.Flags().StringVar(&n.prefix, "subject-prefix", "", "what NATS subjects begin with (default: from the configuration, or sallyport)")
}

// options are those of a connection as a role. With them come the prefix of
// subjects, and the configuration, nil where none is needed.
func (n *natsFlags) options(cmd *cobra.Command, role bus.Role) (bus.Options, string, *config.Config, error) {
	o := bus.Options{Role: role, URL: n.url, CredsFile: n.creds, CAFile: n.caFile}
	if n.prefix != "" {
		if err := event.ValidPrefix(n.prefix); err != nil {
			return o, "", nil, &usageError{fmt.Errorf("--subject-prefix: %w", err), cmd.CommandPath()}
		}
	}
	if n.url == "" && n.caFile != "" {
		return o, "", nil, &usageError{errors.New("--nats-ca-file is for --nats; a configuration has nats.tls.ca_file"), cmd.CommandPath()}
	}
	if n.url != "" && !exists(n.config) && !cmd.Flags().Changed("config") {
		return o, cmp.Or(n.prefix, "sallyport"), nil, nil
	}
	if err := ownConfig(cmd, n.config); err != nil {
		return o, "", nil, err
	}
	conf, err := config.Load(n.config)
	if err != nil {
		return o, "", nil, err
	}
	if n.url == "" {
		o, err = natsOf(conf, role, n.creds)
	}
	return o, cmp.Or(n.prefix, conf.NATS.SubjectPrefix), conf, err
}

// connect opens the connection of a command that acts in this role.
func (n *natsFlags) connect(cmd *cobra.Command, role bus.Role) (nc *bus.Conn, prefix string, conf *config.Config, err error) {
	o, prefix, conf, err := n.options(cmd, role)
	if err != nil {
		return nil, "", nil, err
	}
	if o.CredsFile == "" && o.CertFile == "" {
		return nil, "", nil, &usageError{fmt.Errorf("--creds: give the NATS credentials of an %s", role), cmd.CommandPath()}
	}
	if nc, err = bus.Connect(cmd.Context(), o); err != nil {
		return nil, "", nil, noNATS(err)
	}
	return nc, prefix, conf, nil
}

func noNATS(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) { // of the credentials, and not of the server
		return err
	}
	return fmt.Errorf("%w; is `sallyport serve`, or the NATS server, running there?", err)
}

// natsOf finds the NATS server of a configuration.
func natsOf(conf *config.Config, role bus.Role, creds string) (bus.Options, error) {
	o := bus.Options{Role: role, URL: conf.NATS.URL, CredsFile: creds,
		CAFile: conf.NATS.TLS.CAFile, CertFile: conf.NATS.TLS.CertFile, KeyFile: conf.NATS.TLS.KeyFile}
	if o.URL != "" {
		return o, nil
	}
	dir := filepath.Join(conf.StateDir, "nats")
	text, err := os.ReadFile(filepath.Join(dir, "url"))
	if err != nil {
		return o, fmt.Errorf("the embedded NATS server's address: %w; `sallyport serve` writes it", err)
	}
	o.URL = strings.TrimSpace(string(text))
	if o.CredsFile == "" {
		o.CredsFile = filepath.Join(dir, string(role)+".creds")
	}
	return o, nil
}
