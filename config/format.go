package config

import (
	"bytes"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Format returns src in the canonical layout: two spaces a level, the equals
// signs of neighbouring arguments in a column, one newline at the end.
// Comments stay. Formatting what Format returns changes nothing. Text that
// does not parse is refused with diagnostics whose file name is empty.
func Format(src []byte) ([]byte, diag.List) {
	var r report
	in := input{src: src}
	if !in.parse(&r) {
		return nil, r.finish()
	}
	out := tidy(src)
	// One pass can expose work for the next one; a handful always settles.
	for range 5 {
		next := tidy(out)
		if bytes.Equal(next, out) {
			return out, nil
		}
		out = next
	}
	r.errorf(hcl.Range{}, "Cannot format", "The layout does not settle. Please report this text as a bug.")
	return nil, r.finish()
}

func tidy(src []byte) []byte {
	src = bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))
	out := bytes.TrimRight(hclwrite.Format(src), "\n")
	if len(out) == 0 {
		return out
	}
	return append(out, '\n')
}
