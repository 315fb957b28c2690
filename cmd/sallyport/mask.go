package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/internal/server"
	"github.com/sallyport/sallyport/mask"
	"github.com/sallyport/sallyport/refusal"
)

func newMask() *cobra.Command {
	var path, service, operation, protocol, coding string
	var paths, unmask []string
	var as mask.Style
	var status int
	var asJSON bool
	c := &cobra.Command{
		Use:   "mask --service SERVICE --operation OPERATION < BODY",
		Short: "Mask an answer of AWS as the gateway would, to try rules",
		Long: `Mask an answer of AWS as the gateway would, to try rules. The answer's body comes on
standard input as it is on the wire; what an agent would get goes to standard output,
and what was masked, where and why to standard error.

The configuration's detectors and limits hold if there is a configuration file, else
the defaults. Fingerprints are made with a key of this run alone.`,
		Example: `  echo '{"SecretString":"hunter2"}' | sallyport mask --service secretsmanager --operation GetSecretValue
  sallyport mask --service dynamodb --operation GetItem --path Item.ssn.S --as last4 < answer.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if service == "" || operation == "" {
				return &usageError{errors.New("say which answer it is: --service and --operation, for example --service secretsmanager --operation GetSecretValue"), cmd.CommandPath()}
			}
			conf, err := maskConfig(path, cmd.Flags().Changed("config"))
			if err != nil {
				return err
			}
			masker, err := server.NewMasker(conf, server.NewFingerprintKey())
			if err != nil {
				return err
			}
			ids, err := awsapi.New()
			if err != nil {
				return err
			}
			call, err := ids.CallByOperation(service, operation, awsapi.Protocol(protocol))
			if err != nil {
				return err
			}
			rule := make([]mask.Path, len(paths))
			for i, p := range paths {
				if err := mask.ValidatePath(p); err != nil {
					return &usageError{fmt.Errorf("--path: %w", err), cmd.CommandPath()}
				}
				rule[i] = mask.Path{Path: p, As: as}
			}
			plan, err := masker.PlanCall(call, rule, as, unmask)
			if err != nil {
				return err
			}
			header := http.Header{}
			if coding != "" {
				header.Set("Content-Encoding", coding)
			}
			answer, err := plan.Apply(cmd.Context(), status, header, cmd.InOrStdin())
			if err == nil {
				err = writeAnswer(cmd.OutOrStdout(), answer)
			}
			var withheld *refusal.Error
			if errors.As(err, &withheld) {
				return errors.New(withheld.Message)
			}
			if err != nil {
				return err
			}
			return writeFindings(cmd.ErrOrStderr(), answer.Findings(), asJSON)
		},
	}
	configFlag(c, &path)
	c.Flags().StringVar(&service, "service", "", "the service, as the AWS CLI names it")
	c.Flags().StringVar(&operation, "operation", "", "the operation, as AWS's API reference names it")
	c.Flags().StringVar(&protocol, "protocol", "", "the protocol, where the service has several: json, query, smithy-rpc-v2-cbor, ...")
	c.Flags().StringVar(&coding, "content-encoding", "", "the body's content encoding, such as gzip")
	c.Flags().IntVar(&status, "status", http.StatusOK, "the answer's HTTP status; 300 and above is an error, whose text is scrubbed")
	c.Flags().StringSliceVar(&paths, "path", nil, "gjson paths to mask, as a rule's mask")
	c.Flags().TextVar(&as, "as", mask.Redact, "redact, fingerprint, last4 or drop, as a rule's mask_as")
	c.Flags().StringSliceVar(&unmask, "unmask", nil, "members to leave, as a rule's unmask")
	c.Flags().BoolVar(&asJSON, "json", false, "findings as JSON")
	return c
}

// maskConfig is the mask section of the configuration, or the defaults where there
// is no file and none was asked for.
func maskConfig(path string, asked bool) (config.Mask, error) {
	if !asked && !exists(path) {
		return config.DefaultMask(), nil
	}
	conf, err := config.Load(path)
	if err != nil {
		return config.Mask{}, err
	}
	return conf.Mask, nil
}

func writeAnswer(w io.Writer, answer mask.Result) error {
	if answer.Stream != nil {
		_, err := io.Copy(w, answer.Stream)
		return err
	}
	_, err := w.Write(answer.Body)
	return err
}

func writeFindings(w io.Writer, found []mask.Finding, asJSON bool) error {
	if asJSON {
		type row struct {
			Path     string `json:"path"`
			Source   string `json:"source"`
			Detector string `json:"detector,omitempty"`
			Count    int    `json:"count"`
		}
		rows := make([]row, len(found))
		for i, f := range found {
			rows[i] = row(f)
		}
		return json.NewEncoder(w).Encode(rows)
	}
	if len(found) == 0 {
		_, err := fmt.Fprintln(w, "nothing was masked")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WHERE\tWHY\tVALUES")
	for _, f := range found {
		fmt.Fprintf(t, "%s\t%s\t%d\n", f.Path, strings.TrimSpace(f.Source+" "+f.Detector), f.Count)
	}
	return t.Flush()
}
