package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/server"
)

func newCA() *cobra.Command {
	return group("ca", "The certificate authority that agents trust", newCAShow(), newCABundle())
}

func openCA(path string) (*ca.Authority, error) {
	conf, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	return server.OpenCA(conf)
}

func newCAShow() *cobra.Command {
	var path string
	var asJSON, asPEM bool
	c := &cobra.Command{
		Use:   "show",
		Short: "Show the root: fingerprint, validity, and the names it is constrained to",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := openCA(path)
			if err != nil {
				return err
			}
			out, root := cmd.OutOrStdout(), a.Root()
			if asPEM {
				_, err := out.Write(a.RootPEM())
				return err
			}
			if asJSON {
				return json.NewEncoder(out).Encode(map[string]any{
					"subject": root.Subject.String(), "sha256": server.Fingerprint(root),
					"notBefore": root.NotBefore, "notAfter": root.NotAfter, "permittedDNSDomains": root.PermittedDNSDomains,
				})
			}
			fmt.Fprintf(out, "subject      %s\nsha256       %s\nvalid        %s to %s\nmay issue    %s\n",
				root.Subject, server.Fingerprint(root), root.NotBefore.UTC().Format(time.DateOnly), root.NotAfter.UTC().Format(time.DateOnly),
				strings.Join(root.PermittedDNSDomains, "\n             "))
			return nil
		},
	}
	configFlag(c, &path)
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.Flags().BoolVar(&asPEM, "pem", false, "the certificate itself")
	return c
}

func newCABundle() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "bundle",
		Short: "Print the system's roots and ours, as PEM: what AWS_CA_BUNDLE should name",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := openCA(path)
			if err != nil {
				return err
			}
			bundle, err := server.Bundle(a)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(bundle)
			return err
		},
	}
	configFlag(c, &path)
	return c
}
