package config

import (
	"fmt"
	"io"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Render prints diagnostics for people, sorted by place, each once.
func Render(w io.Writer, l diag.List, files map[string][]byte, color bool) {
	for _, d := range unique(l) {
		fmt.Fprintln(w, d.Error())
	}
}
