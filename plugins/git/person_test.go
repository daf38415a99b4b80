package main

import (
	"testing"

	"github.com/go-git/go-git/v5/plumbing/object"
)

func TestPerson(t *testing.T) {
	for text, want := range map[string]object.Signature{
		"Ann <ann@example.org>":                                    {Name: "Ann", Email: "ann@example.org"},
		"=?utf-8?q?Ann_=C3=96?= <ann@example.org>":                 {Name: "Ann Ö", Email: "ann@example.org"},
		"Ann, of the team <ann>":                                   {Name: "Ann, of the team", Email: "ann"},
		"ann@example.org":                                          {},
		"<ann@example.org>":                                        {},
		"Ann <>":                                                   {},
		"Ann <ann@example.org> x":                                  {},
		"Ann\nparent 0123 <a@b.c>":                                 {},
		"=?utf-8?q?Ann=0Aparent_0123=3Cx=3E?= <a@b.c>":             {},
		"=?utf-8?q?Ann=0Dgpgsig?= <a@b.c>":                         {},
		"=?utf-8?q?Ann=00?= <a@b.c>":                               {},
		"=?utf-8?q?Ann=3Cx=40y=2Ez=3E?= <a@b.c>":                   {},
		"=?utf-8?b?QW5uCmNvbW1pdHRlciBFdmUgPGVAZS5lPg==?= <a@b.c>": {},
	} {
		if got, ok := person(text); got != want || ok != (want.Name != "") {
			t.Errorf("%q: %+v, %v", text, got, ok)
		}
	}
}
