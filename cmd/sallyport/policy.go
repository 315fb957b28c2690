package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/policy"
)

func newPolicy() *cobra.Command {
	return group("policy", "Ask the policy without making a request", newPolicyExplain(), newPolicyTest())
}

func newPolicyTest() *cobra.Command {
	var path string
	var more []string
	c := &cobra.Command{
		Use:   "test [--file MORE.yaml]",
		Short: "Run the tests of the rule files, and further ones",
		Long: `Run the tests of the rule files, and those of further files, whose rules count too.
The same tests are run whenever the policy is loaded, and a failing one refuses it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := config.Load(path)
			if err != nil {
				return err
			}
			engine, err := policy.LoadUntested(append(conf.Policy.Files, more...))
			if err != nil {
				return err
			}
			failed := 0
			results := engine.Test()
			for _, r := range results {
				mark := "ok  "
				if r.Problem != "" {
					mark = "FAIL"
					failed++
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s:%d  %s: %s\n", mark, r.File, r.Line, r.Name, r.Expect)
				if r.Problem != "" {
					fmt.Fprintf(cmd.OutOrStdout(), "     %s\n", r.Problem)
				}
			}
			if failed > 0 {
				return fmt.Errorf("%d of %s failed", failed, count(len(results), "test"))
			}
			if len(results) == 0 {
				return errors.New("there are no tests; write some under the key tests of a rule file, such as {who: {groups: [ai-agents]}, target: dev, call: \"ec2:TerminateInstances\", resource: \"*\", expect: deny}")
			}
			return nil
		},
	}
	configFlag(c, &path)
	c.Flags().StringSliceVar(&more, "file", nil, "further rule files")
	return c
}
