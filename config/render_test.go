package config_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

func at(file string, line, column, endLine, endColumn int) *diag.Range {
	return &diag.Range{File: file, Start: diag.Pos{Line: line, Column: column}, End: diag.Pos{Line: endLine, Column: endColumn}}
}

func TestRender(t *testing.T) {
	files := map[string][]byte{
		"deploy.yaml": []byte("kind: Deployment\r\nmetadata:\r\n\tname: \"日本\" # 👩‍👩‍👧\r\n"),
		"evil.yaml":   []byte("a: \x1b[31m\x07red\u202e\n"),
	}
	tests := map[string]struct {
		d    diag.Diagnostic
		want string
	}{
		"line only": {
			diag.Diagnostic{Summary: "Unknown kind", Subject: &diag.Range{File: "deploy.yaml", Start: diag.Pos{Line: 1}}},
			"deploy.yaml:1: error: Unknown kind\n  |\n1 | kind: Deployment\n",
		},
		"wide characters after a tab": {
			diag.Diagnostic{Severity: diag.Warning, Summary: "Odd", Subject: at("deploy.yaml", 3, 9, 3, 11)},
			"deploy.yaml:3:9: warning: Odd\n  |\n3 |     name: \"日本\" # 👩‍👩‍👧\n  |            ^^^^\n",
		},
		"a family is one character": {
			diag.Diagnostic{Summary: "Odd", Subject: at("deploy.yaml", 3, 15, 3, 16)},
			"deploy.yaml:3:15: error: Odd\n  |\n3 |     name: \"日本\" # 👩‍👩‍👧\n  |                    ^^\n",
		},
		"several lines": {
			diag.Diagnostic{Summary: "Odd", Subject: at("deploy.yaml", 1, 7, 3, 1)},
			"deploy.yaml:1:7: error: Odd\n  |\n1 | kind: Deployment\n  |       ^^^^^^^^^^\n",
		},
		"line not in the file": {
			diag.Diagnostic{Summary: "Odd", Subject: at("deploy.yaml", 99, 1, 99, 2)},
			"deploy.yaml:99:1: error: Odd\n",
		},
		"file not known": {
			diag.Diagnostic{Summary: "Odd", Subject: at("other.yaml", 1, 1, 1, 2)},
			"other.yaml:1:1: error: Odd\n",
		},
		"path of a plugin": {
			diag.Diagnostic{Summary: "Odd", Path: diag.Attr("auth", 0, "token")},
			"auth[0].token: error: Odd\n",
		},
		"control characters": {
			diag.Diagnostic{Summary: "A\x1b[2J", Detail: "B\x07\nC", Subject: at("evil.yaml", 1, 1, 1, 2)},
			"evil.yaml:1:1: error: A\uFFFD[2J\n  |\n1 | a: \uFFFD[31m\uFFFDred\uFFFD\n  | ^\nB\uFFFD\nC\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			config.Render(&b, diag.List{tt.d}, files, false)
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRenderOrderAndColor(t *testing.T) {
	l := diag.List{
		{Summary: "second", Subject: at("b.hcl", 1, 1, 1, 2)},
		{Summary: "first", Subject: at("a.hcl", 10, 1, 10, 2)},
		{Summary: "zeroth", Subject: at("a.hcl", 9, 1, 9, 2)},
		{Summary: "second", Subject: at("b.hcl", 1, 1, 1, 2)},
	}
	var b bytes.Buffer
	config.Render(&b, l, nil, false)
	want := "a.hcl:9:1: error: zeroth\n\na.hcl:10:1: error: first\n\nb.hcl:1:1: error: second\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.Reset()
	config.Render(&b, l[:1], map[string][]byte{"b.hcl": []byte("x\n")}, true)
	if !strings.Contains(b.String(), "\x1b[1;31merror\x1b[0m") || !strings.Contains(b.String(), "\x1b[1;31m^\x1b[0m") {
		t.Errorf("no colours in %q", b.String())
	}
}

// FuzzRender gives Render ranges that do not fit the text, as a plugin or a
// file that has changed may.
func FuzzRender(f *testing.F) {
	f.Add("a: b\n\tc", 2, 1, 6, 2, 3, 8)
	f.Add("日本語 👩‍👩‍👧", 1, 3, 0, 1, 99, 0)
	f.Add("", -1, -5, 1<<40, 0, 0, -3)
	f.Fuzz(func(t *testing.T, src string, line, column, offset, endLine, endColumn, endOffset int) {
		d := diag.Diagnostic{Summary: src, Detail: src, Subject: &diag.Range{
			File:  "x",
			Start: diag.Pos{Line: line, Column: column, Byte: offset},
			End:   diag.Pos{Line: endLine, Column: endColumn, Byte: endOffset},
		}}
		var b bytes.Buffer
		config.Render(&b, diag.List{d}, map[string][]byte{"x": []byte(src)}, false)
		if strings.ContainsAny(b.String(), "\x1b\x07\r") {
			t.Errorf("control characters in %q", b.String())
		}
	})
}
