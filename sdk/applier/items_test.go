package applier_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

func TestItems(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	tests := map[string]struct {
		file string
		want []string // file:line of the items
		err  string
	}{
		"empty":     {"", nil, ""},
		"two":       {`{"file":"a","line":1,"object":{}}` + "\n" + `{"file":"b","line":2,"object":{}}` + "\n", []string{"a", "b"}, ""},
		"no end":    {`{"file":"a","line":1,"object":{}}`, []string{"a"}, ""},
		"long":      {`{"file":"a","object":{"text":"` + long + `"}}` + "\n" + `{"file":"b","object":{}}`, []string{"a", "b"}, ""},
		"truncated": {`{"file":"a","object":{}}` + "\n" + `{"file":"b",`, []string{"a"}, "number 2 in"},
		"wrong":     {`{"file":"a","object":{}}` + "\n" + `{"file":7}`, []string{"a"}, "number 2 in"},
		"no JSON":   {"kind: A\n", nil, "number 1 in"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			set := applier.Set{Objects: filepath.Join(t.TempDir(), "objects.jsonl")}
			if err := os.WriteFile(set.Objects, []byte(tc.file), 0o600); err != nil {
				t.Fatal(err)
			}
			var got []string
			var failed error
			for item, err := range set.Items() {
				if failed = err; err == nil {
					got = append(got, item.File)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
			if (failed == nil) != (tc.err == "") || failed != nil && !strings.Contains(failed.Error(), tc.err) {
				t.Errorf("error %v, want %q", failed, tc.err)
			}
		})
	}
}

func TestItemsKeepDigits(t *testing.T) {
	set := applier.Set{Objects: filepath.Join(t.TempDir(), "objects.jsonl")}
	if err := os.WriteFile(set.Objects, []byte(`{"object":{"n":9007199254740993}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for item, err := range set.Items() {
		if err != nil || item.Object["n"] != json.Number("9007199254740993") {
			t.Errorf("%v, %v", item.Object, err)
		}
		break // an early end is no fault
	}
}

func TestItemsOfAMissingFile(t *testing.T) {
	for _, err := range (applier.Set{Objects: filepath.Join(t.TempDir(), "no")}).Items() {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	}
}
