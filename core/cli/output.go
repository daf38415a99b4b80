package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// outputFormat is the value of --output.
type outputFormat string

const (
	outputTable outputFormat = "table"
	outputJSON  outputFormat = "json"
	outputJSONL outputFormat = "jsonl"
	outputYAML  outputFormat = "yaml"
	outputName  outputFormat = "name"
)

func (o *outputFormat) String() string {
	if *o == "" {
		return string(outputTable)
	}
	return string(*o)
}

// Set accepts the formats that every command has, jsonl, which those that stream
// have, and name, for those of printsNames.
func (o *outputFormat) Set(s string) error {
	switch outputFormat(s) {
	case outputTable, outputJSON, outputJSONL, outputYAML, outputName:
		*o = outputFormat(s)
		return nil
	}
	return fmt.Errorf("want table, json, yaml, jsonl or name")
}

func (o *outputFormat) Type() string { return "format" }

// machine reports whether a program reads the output.
func (o outputFormat) machine() bool { return o != "" && o != outputTable }

// namesAnnotation is set on commands that can print names alone.
const namesAnnotation = "sluice.dev/names"

// printsNames has cmd accept -o name.
func printsNames(cmd *cobra.Command) {
	cmd.Annotations = map[string]string{namesAnnotation: "true"}
}

// checkOutput refuses a format that cmd does not have, before it does anything.
func (a *app) checkOutput(cmd *cobra.Command, _ []string) error {
	if a.output == outputName && cmd.Annotations[namesAnnotation] == "" {
		return withHint(fmt.Errorf("%s has no -o name", cmd.CommandPath()), "it has table, json and yaml")
	}
	return nil
}

// view prints data in the format that the user asked for: human writes the
// table, the others encode data.
func (a *app) view(data any, human func(w io.Writer) error) error {
	switch a.output {
	case outputJSON:
		enc := jsonEncoder(a.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(data)
	case outputJSONL:
		return jsonEncoder(a.Out).Encode(data)
	case outputYAML:
		return writeYAML(a.Out, data)
	}
	return human(a.Out)
}

// jsonEncoder leaves <, > and & as they are: nobody puts this into a web page.
func jsonEncoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

// writeYAML goes through JSON, so that both formats have the same names.
func writeYAML(w io.Writer, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	var plain any
	if err := yaml.Unmarshal(raw, &plain); err != nil {
		return err
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(plain); err != nil {
		return err
	}
	return enc.Close()
}

// table writes aligned columns; rows are made by fill. An empty header is left
// out. Cells may hold what strangers wrote.
func table(w io.Writer, header string, fill func(row func(cells ...any))) error {
	var aligned bytes.Buffer
	tw := tabwriter.NewWriter(&aligned, 0, 4, 2, ' ', 0)
	if header != "" {
		_, _ = fmt.Fprintln(tw, header)
	}
	fill(func(cells ...any) {
		for i, c := range cells {
			if i > 0 {
				_, _ = fmt.Fprint(tw, "\t")
			}
			_, _ = fmt.Fprint(tw, visible(fmt.Sprint(c)))
		}
		_, _ = fmt.Fprintln(tw)
	})
	if err := tw.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	for line := range strings.Lines(aligned.String()) { // without the blanks of empty last cells
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// plural counts things: "1 tag", "2 repositories".
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if stem, ok := strings.CutSuffix(thing, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
