package ref_test

import (
	"testing"

	"github.com/sluice-gitops/sluice/core/images/ref"
)

func TestGlobs(t *testing.T) {
	const nginx, app = "index.docker.io/library/nginx", "registry.example.com:5000/team/app"
	for _, tt := range []struct {
		globs ref.Globs
		name  string
		want  bool
	}{
		{nil, nginx, false},
		{ref.Globs{"*"}, nginx, true},
		{ref.Globs{"*"}, app, true},
		{ref.Globs{"docker.io/*"}, nginx, true},
		{ref.Globs{"registry-1.docker.io/library/*"}, nginx, true},
		{ref.Globs{"index.docker.io/*"}, nginx, true},
		{ref.Globs{"docker.io/nginx"}, nginx, true},
		{ref.Globs{"docker.io/ngin*"}, nginx, true},
		{ref.Globs{"docker.io/other/nginx"}, nginx, false},
		{ref.Globs{"docker.io"}, nginx, false},
		{ref.Globs{"docker.io/*"}, app, false},
		{ref.Globs{"gcr.io/*", "registry.example.com:5000/team/*"}, app, true},
		{ref.Globs{"Registry.Example.com:5000/*"}, app, true},
		{ref.Globs{"*/team/app"}, app, true},
		{ref.Globs{"*.example.com/*"}, app, false},
		{ref.Globs{"*.example.com:*"}, app, true},
		{ref.Globs{"*app"}, app, true},
	} {
		if got := tt.globs.Match(tt.name); got != tt.want {
			t.Errorf("%v matches %s: %v", tt.globs, tt.name, got)
		}
	}
}
