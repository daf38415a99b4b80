//go:build unix

package pluginhost

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

func TestValidateAsksTheBinary(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	configs := []json.RawMessage{config(t), config(t, "do", "mistake", "token", "s3cret-token"), json.RawMessage(`{"do": 7}`)}
	got, err := h.Validate("source", "test", configs)
	if err != nil || len(got) != 3 || len(got[0]) != 0 {
		t.Fatalf("%v, %v", got, err)
	}
	want := diag.List{diag.Errorf(diag.Attr("token"), "token (redacted) is too short")}
	if diff := cmp.Diff(want, got[1]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !got[2].HasErrors() || got[2][0].Path.String() != "do" {
		t.Errorf("a number for a string: %v", got[2])
	}
	if list := h.Status(); len(list) != 0 {
		t.Errorf("processes were started: %v", list)
	}
}

// A binary that cannot answer is an error that names it.
func TestValidateOfABinaryThatCannot(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, func(_ *Options, tm *timing) { tm.describe = 3 * time.Second }, "test")
	if _, err := h.Lookup("source", "test"); err != nil { // described while it answers
		t.Fatal(err)
	}
	for do, want := range map[string]string{
		"die in validate":   "exit status 9: cannot judge (redacted)",
		"hang in validate":  "no answer",
		"print in validate": "is no verdict",
	} {
		_, err := h.Validate("source", "test", []json.RawMessage{config(t, "do", do, "token", "s3cret-token")})
		wantError(t, err, "plugin test: ", "sluice-plugin-test validate: ", want)
	}
	_, err := h.Validate("source", "tests", nil)
	wantError(t, err, "source/tests")
}
