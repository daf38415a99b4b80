package words

import (
	"errors"
	"testing"

	"github.com/sluice-gitops/sluice/sdk/source"
)

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		OneLine(errors.New("a\n\tb  c ")): "a b c",
		Count(1, "change"):                "1 change",
		Count(0, "image"):                 "0 images",
		Short("0123456789abcdef"):         "0123456789ab",
		Short("main"):                     "main",
		Revision(source.Revision{ID: "0123456789abcdef", Ref: "main", Message: "fix the web"}): `main@0123456789ab "fix the web"`,
		Revision(source.Revision{ID: "v1"}):                                                    "v1",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
