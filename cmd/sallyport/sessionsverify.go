package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport/sallyport/recorder"
)

func newSessionsVerify() *cobra.Command {
	var path, dir, key, kept, eventID, proof string
	var gateways []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify",
		Short: "Check that nothing in the record was changed, dropped or inserted",
		Long: `Check that nothing in the record was changed, dropped or inserted: every line against
the recorder's signed Merkle log, every gateway's chain of events and its signatures,
every body against its digest. It needs nothing but the folder, writes nothing, reads
on behind whatever is wrong, and exits 1 when anything is.

--key is the recorder's public key (the line of records/recorder.vkey, or a file with
it) from a copy that whoever has the record could not change. --checkpoint is a copy
of records/log/checkpoint that was kept elsewhere: the record must begin with the lines
that it covers, so that an older state put back is found, too. --gateway names the
gateways whose events may be here, and must be.

--event prints a proof that one event is in the log, and --proof checks one without
the record.`,
		Example: `  sallyport sessions verify
  sallyport sessions verify --records /backup/records --key recorder.vkey --checkpoint kept
  sallyport sessions verify --event 01JD... > proof.json
  sallyport sessions verify --proof proof.json --key recorder.vkey`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			vkey, err := verifierKey(key)
			if err != nil {
				return err
			}
			if proof != "" {
				return checkProof(cmd.OutOrStdout(), proof, vkey, asJSON)
			}
			records := recorder.Records{Dir: dir}
			if dir == "" {
				if records, err = openRecords(path); err != nil {
					return err
				}
			}
			if eventID != "" {
				p, err := records.Prove(cmd.Context(), eventID)
				if err != nil {
					return err
				}
				return json.NewEncoder(cmd.OutOrStdout()).Encode(p)
			}
			o := recorder.VerifyOptions{Key: vkey, Gateways: gateways}
			if kept != "" {
				if o.Checkpoint, err = readSmall(kept); err != nil {
					return err
				}
			}
			report, err := records.Verify(cmd.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			} else {
				err = recorder.WriteReport(cmd.OutOrStdout(), report)
			}
			if err == nil && !report.OK {
				err = fmt.Errorf("the record is broken in %d places", report.ProblemsTotal)
			}
			return err
		},
	}
	configFlag(c, &path)
	c.Flags().StringVar(&dir, "records", "", "the recorder's folder (default: that of --config)")
	c.Flags().StringVar(&key, "key", "", "the recorder's public key, or a file with it")
	c.Flags().StringVar(&kept, "checkpoint", "", "a checkpoint of the log that was kept elsewhere (file)")
	c.Flags().StringArrayVar(&gateways, "gateway", nil, "a gateway whose events are expected (its source; several times)")
	c.Flags().StringVar(&eventID, "event", "", "print a proof for this event")
	c.Flags().StringVar(&proof, "proof", "", "check a proof (file), with --key")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.MarkFlagsMutuallyExclusive("event", "proof")
	return c
}

// verifierKey takes a key as it is, or reads it from a file. What has not the form of a
// key (name+hash+key) is a file's name.
func verifierKey(given string) (string, error) {
	if given == "" || strings.Count(given, "+") >= 2 && !exists(given) {
		return given, nil
	}
	text, err := readSmall(given)
	if err != nil {
		return "", fmt.Errorf("--key: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if _, err := note.NewVerifier(key); err != nil { // without what is in it: it may be the private key
		return "", fmt.Errorf("--key: %s holds no public key of a recorder (records/%s has one)", given, recorder.VerifierFile)
	}
	return key, nil
}

const maxSmall = 1 << 20 // bytes of a key or checkpoint

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSmall))
}

func checkProof(w io.Writer, path, key string, asJSON bool) error {
	if key == "" {
		return errors.New("give the recorder's public key with --key: a proof that brings its own proves nothing")
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var p recorder.Proof
	dec := json.NewDecoder(io.LimitReader(f, 64<<20))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return fmt.Errorf("%s is no proof: %w", path, err)
	}
	e, err := p.Check(key)
	if err != nil {
		return err
	}
	if asJSON {
		_, err = fmt.Fprintln(w, p.Line)
		return err
	}
	fmt.Fprintf(w, "proved: entry %d of the %d that the recorder signed\n", p.Index, p.Size)
	return recorder.WriteLine(w, e)
}
