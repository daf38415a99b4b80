package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestPush(t *testing.T) {
	r := start(t)
	began := time.Now().Add(-time.Second)
	var out bytes.Buffer
	if code := run(context.Background(), []string{"push", r.Registry + "/shop/web:1.2.0"}, nil, &out, &out); code != exitOK {
		t.Fatalf("exit code %d\n%s", code, &out)
	}
	reference, err := name.ParseReference(r.Registry+"/shop/web:1.2.0", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(reference, remote.WithTransport(client(t, r).Transport))
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil || config.OS != "linux" || config.Created.Before(began) {
		t.Errorf("config %+v, %v; want one for linux that was made now", config, err)
	}
}

func TestPushOfWhatIsNoReference(t *testing.T) {
	for _, text := range []string{"127.0.0.1:1/shop/web", "127.0.0.1:1/Shop:1"} {
		var out bytes.Buffer
		if code := run(context.Background(), []string{"push", text}, nil, &out, &out); code != exitFailed || !strings.Contains(out.String(), "push") {
			t.Errorf("%s: exit code %d, %q; want an error", text, code, &out)
		}
	}
}
