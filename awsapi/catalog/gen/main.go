// Command gen writes the tables that awsapi/catalog embeds, from the data that
// ../build/build.py makes (service documents, partitions), and reports what changed
// against the tables that it was compiled with. The same input gives the same bytes.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/awsapi/catalog"
)

func main() {
	data := flag.String("data", "", "folder with services/*.json.gz and partitions.json")
	out := flag.String("out", "tables", "folder to write index.json.gz and services.bin into")
	flag.Parse()
	if err := run(*data, *out, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(data, out string, report io.Writer) error {
	index, archive, err := generate(data)
	if err != nil {
		return err
	}
	before, err := catalog.Load()
	if err != nil {
		return err
	}
	after, err := catalog.Parse(index, archive)
	if err != nil {
		return err
	}
	if err := writeReport(report, before, after); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", out, err)
	}
	for name, b := range map[string][]byte{"index.json.gz": index, "services.bin": archive} {
		if err := os.WriteFile(filepath.Join(out, name), b, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}
