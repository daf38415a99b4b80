package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/secret"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// Every argument but those that say what is followed, and how it is written,
// keeps sources from sharing a mirror, also arguments that are added one day.
func TestIdentityCoversTheConfiguration(t *testing.T) {
	base := func() Config { return Config{Auth: &Auth{}, SSH: &SSH{}, TLS: &TLS{}, Write: &Write{Sign: &Sign{}}} }
	identity := func(c Config) string { return (&access{config: c}).identity() }
	followed := map[string]bool{"URL": true, "Branch": true, "Tag": true, "Commit": true} // the address is part of the key besides
	seen := map[string]string{identity(base()): "nothing"}
	for path, change := range changes(reflect.TypeFor[Config](), "") {
		c := base()
		change(reflect.ValueOf(&c).Elem())
		id := identity(c)
		if followed[path] || strings.HasPrefix(path, "Write.") {
			if id != identity(base()) {
				t.Errorf("%s keeps sources from sharing a mirror", path)
			}
			continue
		}
		if other, dup := seen[id]; dup {
			t.Errorf("%s changes as much as %s", path, other)
		}
		seen[id] = path
	}
}

// changes returns a function for each argument in typ, which sets it.
func changes(typ reflect.Type, prefix string) map[string]func(reflect.Value) {
	all := map[string]func(reflect.Value){}
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Type.Kind() == reflect.Pointer {
			for path, change := range changes(f.Type.Elem(), prefix+f.Name+".") {
				all[path] = func(v reflect.Value) { change(v.Field(i).Elem()) }
			}
			continue
		}
		all[prefix+f.Name] = func(v reflect.Value) {
			switch field := v.Field(i).Addr().Interface().(type) {
			case *string:
				*field = "x"
			case *secret.Secret:
				*field = secret.New("x")
			case *bool:
				*field = true
			case *time.Duration:
				*field = time.Hour
			default:
				panic("an argument of another type: " + prefix + f.Name)
			}
		}
	}
	return all
}

// A source never gets what another one fetched from a server that it does not
// trust itself, nor the other's failure.
func TestTrustIsNotShared(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		key := gittest.NewKey(t, "")
		server := gittest.NewSSH(t, key)
		repo := gittest.NewRepo(t)
		want := repo.CommitFile("a", "1")
		h := start(t)
		open := func(knownHosts string) *client.Source {
			return h.Source("git", values{"url": server.URL(repo.Dir), "transport": transport,
				"ssh": values{"key": key.Private, "known_hosts": knownHosts}})
		}
		host, _, _ := strings.Cut(server.KnownHosts, " ")
		other := host + " " + gittest.NewKey(t, "").Authorized
		known, unknown, changed := open(server.KnownHosts), open(""), open(other)
		for range 2 {
			if rev := resolve(t, known, source.Revision{}); rev.ID != want {
				t.Errorf("with the right key: %v", rev)
			}
			if _, err := unknown.Resolve(t.Context(), source.Revision{}); err == nil || !strings.Contains(err.Error(), "known_hosts has no key of it") {
				t.Errorf("without a key: %v", err)
			}
			if _, err := changed.Resolve(t.Context(), source.Revision{}); err == nil || !strings.Contains(err.Error(), "expected ssh-ed25519 SHA256:") {
				t.Errorf("with another key: %v", err)
			}
			if err := unknown.Fetch(t.Context(), source.Revision{ID: want}, t.TempDir()); err == nil {
				t.Error("the tree came from a mirror that was filled by another source")
			}
		}
	})
}
