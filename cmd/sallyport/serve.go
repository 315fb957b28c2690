package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/server"
)

func newServe() *cobra.Command {
	var path string
	var roles []string
	var verbose bool
	names := make([]string, len(server.Roles))
	for i, r := range server.Roles {
		names[i] = string(r)
	}
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway and the recorder",
		Long: `Run the gateway and the recorder, in one process or, with --roles, apart. One line
of log says "ready" with every address. SIGTERM drains: no new requests, open ones
finish within 30 s.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := server.Options{}
			for _, r := range roles {
				if !slices.Contains(names, r) {
					return &usageError{fmt.Errorf("there is no role %s; the roles are %s", quote(r), strings.Join(names, ", ")), cmd.CommandPath()}
				}
				o.Roles = append(o.Roles, server.Role(r))
			}
			conf, err := config.Load(path)
			if err != nil {
				return err
			}
			if err := conf.Check(); err != nil {
				return err
			}
			level := slog.LevelInfo
			if verbose {
				level = slog.LevelDebug
			}
			o.Config = conf
			o.Log = slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			s, err := server.Start(cmd.Context(), o)
			if errors.Is(err, syscall.EADDRINUSE) {
				return fmt.Errorf("%w; another process has that port, perhaps another `sallyport serve`: stop it, or choose another port in %s", err, path)
			}
			if err != nil {
				return err
			}
			failed := s.Wait(cmd.Context())
			ctx := context.WithoutCancel(cmd.Context())
			o.Log.InfoContext(ctx, "draining")
			if err := errors.Join(failed, s.Close()); err != nil {
				return err
			}
			o.Log.InfoContext(ctx, "stopped")
			return nil
		},
	}
	configFlag(c, &path)
	c.Flags().StringSliceVar(&roles, "roles", nil, "comma-separated: "+strings.Join(names, ", ")+" (default all)")
	c.Flags().BoolVar(&verbose, "verbose", false, "log more")
	return c
}
