package diag_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

func TestPathPrintsAsTheUserWouldWriteIt(t *testing.T) {
	tests := map[string]diag.Path{
		"":                  nil,
		"url":               diag.Attr("url"),
		"auth[0].token":     diag.Attr("auth", 0, "token"),
		"[2]":               diag.Attr(2),
		"a.b[1][0].c":       diag.Attr("a", "b", 1, 0, "c"),
		"labels.app/name.x": diag.Attr("labels", "app/name", "x"),
	}
	for want, path := range tests {
		if got := path.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAttrRefusesOtherTypes(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a float is a step")
		}
	}()
	diag.Attr("a", 1.5)
}

func TestRange(t *testing.T) {
	tests := map[string]diag.Range{
		"a.hcl":     {File: "a.hcl"},
		"a.hcl:3":   {File: "a.hcl", Start: diag.Pos{Line: 3}},
		"a.hcl:3:7": {File: "a.hcl", Start: diag.Pos{Line: 3, Column: 7}},
	}
	for want, r := range tests {
		if got := r.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestDiagnosticAsError(t *testing.T) {
	d := diag.Errorf(diag.Attr("url"), "not %s", "found")
	d.Detail = "Check it."
	if got := d.Error(); got != "url: not found: Check it." {
		t.Errorf("got %q", got)
	}
	d.Subject = &diag.Range{File: "f.yaml", Start: diag.Pos{Line: 2}}
	if got := d.Error(); got != "f.yaml:2: not found: Check it." {
		t.Errorf("a subject wins over a path: %q", got)
	}
}

func TestListIsAnErrorOnlyWithErrors(t *testing.T) {
	warning, mistake := diag.Warningf(nil, "careful"), diag.Errorf(nil, "wrong")
	if err := (diag.List{warning}).Err(); err != nil {
		t.Errorf("a warning is the error %v", err)
	}
	if err := (diag.List)(nil).Err(); err != nil {
		t.Errorf("nothing is the error %v", err)
	}
	want := diag.List{warning, mistake}
	err := fmt.Errorf("open: %w", want.Err())
	if err.Error() != "open: wrong" {
		t.Errorf("message %q", err)
	}
	got, ok := diag.From(err)
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("From (-want +got):\n%s", diff)
	}
	if got, ok := diag.From(fmt.Errorf("open: %w", mistake)); !ok || len(got) != 1 {
		t.Errorf("From a single one: %v, %t", got, ok)
	}
	if _, ok := diag.From(errors.New("x")); ok {
		t.Error("any error carries diagnostics")
	}
}

func TestSeverity(t *testing.T) {
	if diag.Error.String() != "error" || diag.Warning.String() != "warning" {
		t.Errorf("%v, %v", diag.Error, diag.Warning)
	}
}
