package pluginhost

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Lock is the content of plugins.lock.hcl: which binaries may run. It is
// written by `sluice plugin lock` and read back by a reader that knows this
// subset of HCL and nothing more:
//
//	# comment
//	plugin "git" {
//	  version = "1.4.2"
//	  sha256 = {
//	    "linux/amd64" = "64 hex digits"
//	  }
//	}
//
// with one item a line. Anything else is an error with file and line.
type Lock struct {
	Plugins map[string]LockedPlugin // by plugin name
}

// LockedPlugin is one release of a plugin.
type LockedPlugin struct {
	Version string
	SHA256  map[string]string // hex, by platform: "linux/amd64"
}

const lockHeader = `# Checksums of the plugins that may run. Written by "sluice plugin lock":
# run it again after a plugin changed, and review the difference.
`

func platform() string { return runtime.GOOS + "/" + runtime.GOARCH }

// ReadLock reads the file at path. A file that does not exist is an
// fs.ErrNotExist.
func ReadLock(path string) (*Lock, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("plugin lock file: %w", err)
	}
	return ParseLock(path, data)
}

// ParseLock reads data. The error is a diag.Diagnostic with the place.
func ParseLock(file string, data []byte) (*Lock, error) {
	p := lockParser{lock: &Lock{Plugins: map[string]LockedPlugin{}}}
	lines := bufio.NewScanner(bytes.NewReader(data))
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "//") {
			continue
		}
		if err := p.line(line); err != nil {
			return nil, badLock(file, n, err.Error())
		}
	}
	if err := lines.Err(); err != nil {
		return nil, badLock(file, n+1, err.Error())
	}
	if p.in != outside {
		return nil, badLock(file, n+1, fmt.Sprintf("the file ends inside plugin %q", p.name))
	}
	return p.lock, nil
}

func badLock(file string, line int, summary string) error {
	return diag.Diagnostic{
		Summary: summary, Detail: "The file is written by \"sluice plugin lock\".",
		Subject: &diag.Range{File: file, Start: diag.Pos{Line: line}},
	}
}

type lockPlace int

const (
	outside lockPlace = iota
	inPlugin
	inSums
)

type lockParser struct {
	lock *Lock
	in   lockPlace
	name string
	cur  LockedPlugin
}

func (p *lockParser) line(line string) error {
	switch p.in {
	case outside:
		return p.open(line)
	case inPlugin:
		return p.argument(line)
	default:
		return p.sum(line)
	}
}

func (p *lockParser) open(line string) error {
	rest, ok := strings.CutPrefix(line, "plugin ")
	name, rest, quoted := cutQuoted(rest)
	if !ok || !quoted || strings.TrimSpace(rest) != "{" {
		return fmt.Errorf("want `plugin \"NAME\" {`, found %.40q", line)
	}
	if _, twice := p.lock.Plugins[name]; twice {
		return fmt.Errorf("plugin %q stands here a second time", name)
	}
	p.in, p.name, p.cur = inPlugin, name, LockedPlugin{}
	return nil
}

func (p *lockParser) argument(line string) error {
	if line == "}" {
		if len(p.cur.SHA256) == 0 {
			return fmt.Errorf("plugin %q has no sha256", p.name)
		}
		p.lock.Plugins[p.name] = p.cur
		p.in = outside
		return nil
	}
	key, value, _ := strings.Cut(line, "=")
	value = strings.TrimSpace(value)
	switch strings.TrimSpace(key) {
	case "version":
		version, rest, ok := cutQuoted(value)
		if !ok || rest != "" {
			return fmt.Errorf("version wants a string, found %.40q", value)
		}
		p.cur.Version = version
		return nil
	case "sha256":
		if value != "{" || p.cur.SHA256 != nil {
			return errors.New("want one `sha256 = {`")
		}
		p.cur.SHA256, p.in = map[string]string{}, inSums
		return nil
	}
	return fmt.Errorf("want version, sha256 or }, found %.40q", line)
}

func (p *lockParser) sum(line string) error {
	if line == "}" {
		p.in = inPlugin
		return nil
	}
	platform, rest, ok := cutQuoted(line)
	rest, isPair := strings.CutPrefix(strings.TrimSpace(rest), "=")
	sum, rest, quoted := cutQuoted(strings.TrimSpace(rest))
	if !ok || !isPair || !quoted || rest != "" {
		return fmt.Errorf("want `\"OS/ARCH\" = \"SHA256\"`, found %.40q", line)
	}
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != 32 {
		return fmt.Errorf("%q is not a sha256 in hex", sum)
	}
	p.cur.SHA256[platform] = strings.ToLower(sum)
	return nil
}

// cutQuoted takes a quoted string off the front of s.
func cutQuoted(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", s, false
	}
	prefix, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", s, false
	}
	value, err = strconv.Unquote(prefix)
	return value, s[len(prefix):], err == nil
}

// Bytes returns the file's content, sorted, in the format that ReadLock reads.
func (l *Lock) Bytes() []byte {
	var b bytes.Buffer
	b.WriteString(lockHeader)
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		p := l.Plugins[name]
		fmt.Fprintf(&b, "\nplugin %q {\n  version = %q\n  sha256 = {\n", name, p.Version)
		for _, platform := range slices.Sorted(maps.Keys(p.SHA256)) {
			fmt.Fprintf(&b, "    %q = %q\n", platform, p.SHA256[platform])
		}
		b.WriteString("  }\n}\n")
	}
	return b.Bytes()
}

// Write replaces the file at path in one step.
func (l *Lock) Write(path string) error {
	if err := writeFileAtomic(path, l.Bytes(), 0o644); err != nil {
		return fmt.Errorf("plugin lock file: %w", err)
	}
	return nil
}

// set records the sum of name for this platform. Sums for other platforms are
// kept as long as they are of the same version.
func (l *Lock) set(name, version, sum string) {
	p := l.Plugins[name]
	if p.Version != version || p.SHA256 == nil {
		p = LockedPlugin{Version: version, SHA256: map[string]string{}}
	}
	p.SHA256[platform()] = sum
	if l.Plugins == nil {
		l.Plugins = map[string]LockedPlugin{}
	}
	l.Plugins[name] = p
}

// check tells whether the binary exe may run as plugin name.
func (l *Lock) check(file, name string, exe *executable) error {
	p, ok := l.Plugins[name]
	if !ok {
		return fmt.Errorf("plugin %s (%s) is not in %s: if you trust it, run \"sluice plugin lock\"", name, exe.path, file)
	}
	want, ok := p.SHA256[platform()]
	if !ok {
		return fmt.Errorf("plugin %s is in %s, but not for %s: if you trust %s, run \"sluice plugin lock\" on this machine", name, file, platform(), exe.path)
	}
	if want != exe.sha {
		return &ChecksumError{Plugin: name, Path: exe.path, File: file, Want: want, Got: exe.sha}
	}
	return nil
}

// ChecksumError says that a binary is not the one in the lock file.
type ChecksumError struct {
	Plugin, Path string
	File         string // lock file
	Want, Got    string // hex sha256
}

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("plugin %s: %s is not the binary that %s allows (sha256 %s, locked %s): "+
		"put the locked one back, or, if you changed it, run \"sluice plugin lock\"", e.Plugin, e.Path, e.File, e.Got, e.Want)
}

// writeFileAtomic writes data beside path and renames it into place.
func writeFileAtomic(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone after the rename
	_, werr := f.Write(data)
	err = errors.Join(werr, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
