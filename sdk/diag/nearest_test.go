package diag

import (
	"slices"
	"testing"
)

func TestNearest(t *testing.T) {
	known := []string{"branch", "url", "interval", "path", "paths", "Deployment"}
	for name, want := range map[string]string{
		"brnach":     "branch", // swapped letters are one edit
		"ulr":        "url",
		"intervall":  "interval",
		"pathes":     "paths",
		"deployment": "Deployment",
		"url":        "", // known, so it is no slip
		"frobnicate": "",
		"":           "",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestSimilar(t *testing.T) {
	got := Similar("main", []string{"mian", "man", "maine", "release", "man"}, 2)
	if want := []string{"maine", "man"}; !slices.Equal(got, want) {
		t.Errorf("Similar = %q, want %q", got, want)
	}
}
