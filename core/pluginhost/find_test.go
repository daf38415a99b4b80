//go:build unix

package pluginhost

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/handshake"
)

func TestLookup(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test", "other")
	for typ, plugin := range map[string]string{"test": "test", "other": "other", "shared": "other"} {
		offer, err := h.Lookup("source", typ)
		if err != nil || offer.Plugin != plugin || offer.Version != "1.2.3" || offer.Type != typ || offer.Schema == nil {
			t.Errorf("%s: %+v, %v", typ, offer, err)
		}
	}
	if len(h.Status()) != 0 {
		t.Error("Lookup started a process")
	}
}

func TestLookupErrors(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test", "other", "third")
	for _, tt := range []struct {
		kind, typ string
		want      []string
	}{
		{"source", "gti", []string{"no plugin offers source/gti", "sluice-plugin-gti", h.dir, "asked the plugins other, test, third", `plugin "gti" { path = ... }`}},
		{"source", "tets", []string{`did you mean "test"?`}},
		{"applier", "test", []string{"plugin test offers source/test"}},
		{"source", "shared", []string{"source/shared is offered by other (", "and by third (", "sluice-plugin-third)"}},
	} {
		_, err := h.Lookup(tt.kind, tt.typ)
		wantError(t, err, tt.want...)
		if missing := tt.typ != "shared"; errors.Is(err, ErrNotFound) != missing {
			t.Errorf("%v is a plugin that is not there: %t, want %t", err, !missing, missing)
		}
	}
}

func TestDeclaredPluginWinsOverTheOthers(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, func(o *Options, _ *timing) {
		o.Plugins = []Declaration{{Name: "third"}}
	}, "other", "third")
	offer, err := h.Lookup("source", "shared")
	if err != nil || offer.Plugin != "third" {
		t.Errorf("offer of %s, %v", offer.Plugin, err)
	}
}

func TestPluginNamesAreFileNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "../evil", "a/b", "a b", ".", "é", strings.Repeat("x", 65)} {
		_, err := New(Options{RunDir: shortDir(t), Plugins: []Declaration{{Name: name}}})
		wantError(t, err, "a name consists of")
		_, err = New(Options{RunDir: shortDir(t), Dev: map[string]string{name: "p"}})
		wantError(t, err, "a name consists of")
	}
	h := newTestHost(t, nil, "test")
	_, err := h.Lookup("source", "x/../../"+filepath.Base(h.dir)+"/"+handshake.BinaryPrefix+"test")
	wantError(t, err, "no plugin offers")
}

func TestUnusablePluginsArePassedOverWithAWarning(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, func(o *Options, _ *timing) {
		o.Plugins = []Declaration{{Name: "mine", Path: "/nowhere/mine"}}
	}, "test")
	if _, err := h.Lookup("source", "test"); err != nil {
		t.Fatal(err)
	}
	h.log.wait(t, "/nowhere/mine does not exist")
}

func TestMissingDeclaredPlugins(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := newTestHost(t, func(o *Options, _ *timing) {
		o.Plugins = []Declaration{{Name: "a", Path: filepath.Join(dir, "missing")}, {Name: "b"}, {Name: "c", Path: plain}, {Name: "d", Path: dir}}
	})
	for name, want := range map[string][]string{
		"a": {`source/a: plugin a (plugin "a" block)`, "missing", "does not exist"},
		"b": {"no binary sluice-plugin-b in " + h.dir, "set path in the plugin block"},
		"c": {"is not executable: chmod +x it"},
		"d": {"is not a regular file"},
	} {
		_, err := h.Lookup("source", name)
		wantError(t, err, want...)
		if errors.Is(err, ErrNotFound) {
			t.Errorf("%v: it is declared, so that nobody else is looked for", err)
		}
	}
}

func TestBinariesThatCannotDescribeThemselves(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "nodescribe", "exit3", "babbler")
	for name, want := range map[string][]string{
		"nodescribe": {"the answer is no description", "is it a Sluice plugin?"},
		"exit3":      {"exit status 3", "cannot go on"},
	} {
		_, err := h.Lookup("source", name)
		wantError(t, err, append(want, "plugin "+name)...)
	}
}

func TestDescribeIsBoundedInTimeAndOutput(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, func(_ *Options, tm *timing) { tm.describe = 500e6 }, "babbler")
	_, err := h.Lookup("source", "babbler")
	wantError(t, err, "no answer", "deadline")
}

func TestDescriptionsAreCachedByContent(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	if _, err := h.Lookup("source", "test"); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(h.o.CacheDir, "describe", "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("cache holds %v, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	data = []byte(strings.Replace(string(data), "1.2.3", "9.9.9", 1))
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	later := newTestHost(t, func(o *Options, _ *timing) { o.Dirs, o.CacheDir = h.o.Dirs, h.o.CacheDir })
	offer, err := later.Lookup("source", "test")
	if err != nil || offer.Version != "9.9.9" {
		t.Errorf("version %s, %v; want the cached one", offer.Version, err)
	}
	if err := os.WriteFile(files[0], []byte("{broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	last := newTestHost(t, func(o *Options, _ *timing) { o.Dirs, o.CacheDir = h.o.Dirs, h.o.CacheDir })
	if offer, err = last.Lookup("source", "test"); err != nil || offer.Version != "1.2.3" {
		t.Errorf("version %s, %v; want the real one in place of a broken cache", offer.Version, err)
	}
}

func TestLockFileIsEnforced(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test", "other")
	h.o.LockFile = filepath.Join(t.TempDir(), "plugins.lock.hcl")
	if _, err := h.Lookup("source", "test"); err != nil {
		t.Errorf("without a lock file: %v", err)
	}
	h.log.wait(t, "plugins are not verified")
	recorded, err := h.WriteLock(t.Context(), []string{"test"})
	if err != nil || len(recorded) != 1 || recorded["test"].Version != "1.2.3" {
		t.Fatalf("WriteLock: %v, %v", recorded, err)
	}
	resolve(t, h.open(t, "test", "a"))
	_, _, err = h.Open(t.Context(), "source", "other", "source.other.a", nil)
	wantError(t, err, "plugin other (", "is not in", `run "sluice plugin lock"`)

	lock, err := ReadLock(h.o.LockFile)
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.Repeat("0", 64)
	right := lock.Plugins["test"].SHA256[platform()]
	lock.Plugins["test"].SHA256[platform()] = wrong
	if err := lock.Write(h.o.LockFile); err != nil {
		t.Fatal(err)
	}
	strict := newTestHost(t, func(o *Options, _ *timing) { o.Dirs, o.LockFile = h.o.Dirs, h.o.LockFile })
	_, err = strict.Lookup("source", "test")
	wantError(t, err, "is not the binary", right, wrong, `run "sluice plugin lock"`)
	if sum, ok := errors.AsType[*ChecksumError](err); !ok || sum.Got != right || sum.Want != wrong {
		t.Errorf("%+v", sum)
	}

	// What runs is not affected, but it does not come back.
	if st := h.status(t); st.State != Ready {
		t.Errorf("state %s", st.State)
	}
	dev := newTestHost(t, func(o *Options, _ *timing) {
		o.LockFile, o.Dev = h.o.LockFile, map[string]string{"test": filepath.Join(h.dir, handshake.BinaryPrefix+"test")}
	})
	resolve(t, dev.open(t, "test", "a"))
	dev.log.wait(t, "not verified")
	if st := dev.status(t); !st.Dev {
		t.Error("the status does not show the override")
	}
}

func TestChecksumIsVerifiedAtEachStart(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	h.o.LockFile = filepath.Join(t.TempDir(), "plugins.lock.hcl")
	if _, err := h.WriteLock(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	i := h.open(t, "test", "a")
	path := filepath.Join(h.dir, handshake.BinaryPrefix+"test")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho evil >&2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	killProcess(t, h)
	wantError(t, resolveErr(t, i), "start plugin test", "is not the binary")
	if strings.Contains(h.log.String(), "evil") {
		t.Error("the swapped binary ran")
	}
}

func TestWriteLockOfUnknownPlugin(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, func(o *Options, _ *timing) { o.LockFile = filepath.Join(t.TempDir(), "l") })
	_, err := h.WriteLock(t.Context(), []string{"git"})
	wantError(t, err, "plugin git: no binary sluice-plugin-git in")
}

func TestPluginsListsTheUnusableToo(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, func(o *Options, _ *timing) {
		o.Plugins = []Declaration{{Name: "gone", Path: "/nowhere/gone"}}
	}, "test", "exit3")
	got := map[string]string{}
	for _, f := range h.Plugins(t.Context()) {
		got[f.Name] = f.Description.Version
		if f.Name == "gone" && !errors.Is(f.Err, fs.ErrNotExist) {
			t.Errorf("gone: %v", f.Err)
		}
	}
	if diff := cmp.Diff(map[string]string{"test": "1.2.3", "exit3": "", "gone": ""}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDescribeBinary(t *testing.T) {
	d, err := DescribeBinary(t.Context(), testPlugin(t, "other"))
	if err != nil || d.Name != "other" || len(d.Kinds) != 2 {
		t.Errorf("%+v, %v", d, err)
	}
	_, err = DescribeBinary(t.Context(), testPlugin(t, "nodescribe"))
	wantError(t, err, "is it a Sluice plugin?")
}

func TestChecksumsNoticeEveryChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p")
	write := func(text string, age time.Duration) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o700)
		if err != nil {
			t.Fatal(err)
		}
		_, werr := f.WriteString(text)
		then := time.Now().Add(-age)
		if err := errors.Join(werr, f.Close(), os.Chtimes(path, then, then)); err != nil {
			t.Fatal(err)
		}
	}
	var c checksums
	sum := func() string {
		t.Helper()
		exe, err := c.open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer exe.Close()
		return exe.sha
	}
	write("one", time.Hour)
	one := sum()
	write("two", time.Hour) // same inode, size and modification time
	if two := sum(); two == one {
		t.Error("a change in place went unnoticed")
	}
	if len(c.sum) != 0 {
		t.Error("the sum of a file that changed just now is remembered")
	}
}
