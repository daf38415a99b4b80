package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

func TestConfig(t *testing.T) {
	key := gittest.NewKey(t, "")
	protected := gittest.NewKey(t, "sesame")
	const hash = "0123456789abcdef0123456789abcdef01234567"
	for _, c := range []struct {
		name   string
		config values
		want   []string // "severity path: summary", each a prefix
	}{
		{"least", values{"url": "https://git.example.com/a.git"}, nil},
		{"path", values{"url": "/srv/git/a"}, nil},
		{"branch", values{"url": "https://x.org/a", "branch": "release/1.x"}, nil},
		{"token", values{"url": "https://x.org/a", "auth": values{"token": "t"}}, nil},
		{"ssh", values{"url": "git@x.org:a/b.git", "ssh": values{"key": key.Private}}, nil},
		{"ssh secret", values{"url": "ssh://git@x.org:2222/a/b.git", "ssh": values{"key_secret": "ns/name"}}, nil},
		{"user of the url", values{"url": "https://org@dev.azure.com/org/p/_git/r", "auth": values{"password": "t"}}, nil},

		{"no url", values{}, []string{"error url: "}},
		{"empty url", values{"url": ""}, []string{"error url: the url is empty"}},
		{"relative path", values{"url": "../repo"}, []string{"error url: neither a url"}},
		{"password in the url", values{"url": "https://bob:s3cret@x.org/a"}, []string{"error url: the url holds a password"}},
		{"unknown scheme", values{"url": "git://x.org/a"}, []string{`error url: scheme "git" is not supported`}},
		{"no path", values{"url": "https://x.org"}, []string{"error url: the url does not name a repository"}},
		{"option as host", values{"url": "ssh://-oProxyCommand=x/a"}, []string{"error url: no part of the url may start with a dash"}},
		{"option as scp host", values{"url": "git@-oProxyCommand=x:a"}, []string{"error url: no part of the url may start with a dash"}},
		{"two slashes", values{"url": "file://srv/a"}, []string{"error url: a file url has three slashes"}},

		{"branch and tag", values{"url": "/a", "branch": "main", "tag": "v1"}, []string{"error tag: branch and tag exclude each other"}},
		{"all three", values{"url": "/a", "branch": "main", "tag": "v1", "commit": hash},
			[]string{"error tag: branch and tag exclude", "error commit: branch and commit exclude"}},
		{"short commit", values{"url": "/a", "commit": "abc123"}, []string{`error commit: "abc123" is not a full commit hash`}},
		{"full ref", values{"url": "/a", "branch": "refs/heads/main"}, []string{`error branch: "refs/heads/main" is not the name of a branch`}},
		{"option as branch", values{"url": "/a", "branch": "--upload-pack=x"}, []string{"error branch: "}},
		{"pattern as branch", values{"url": "/a", "branch": "v*"}, []string{"error branch: "}},
		{"stall_timeout", values{"url": "/a", "stall_timeout": "10ms"}, []string{"error stall_timeout: "}},

		{"auth on ssh", values{"url": "git@x.org:a", "auth": values{"token": "t"}, "ssh": values{"key_file": "/k"}}, []string{"error auth: auth is for http and https"}},
		{"auth on a path", values{"url": "/a", "auth": values{"token": "t"}}, []string{"error auth: auth is for http and https"}},
		{"auth empty", values{"url": "https://x.org/a", "auth": values{}}, []string{"error auth: auth needs password, token or bearer"}},
		{"auth twice", values{"url": "https://x.org/a", "auth": values{"token": "t", "password": "p"}}, []string{"error auth.token: auth.password and auth.token exclude"}},
		{"password alone", values{"url": "https://x.org/a", "auth": values{"password": "p"}}, []string{"error auth.password: auth.password needs auth.username"}},
		{"two lines", values{"url": "https://x.org/a", "auth": values{"token": "a\nb"}}, []string{"error auth.token: auth.token holds more than one line"}},
		{"clear text", values{"url": "http://x.org/a", "auth": values{"token": "t"}}, []string{"warning url: the credentials go over the network"}},

		{"ssh block missing", values{"url": "git@x.org:a"}, []string{"error url: an ssh url needs an ssh block"}},
		{"ssh on https", values{"url": "https://x.org/a", "ssh": values{"key_file": "/k"}}, []string{"error ssh: ssh is for ssh"}},
		{"ssh empty", values{"url": "git@x.org:a", "ssh": values{}}, []string{"error ssh: ssh needs key, key_file or key_secret"}},
		{"ssh twice", values{"url": "git@x.org:a", "ssh": values{"key_file": "/k", "key_secret": "s"}}, []string{"error ssh: ssh has more than one"}},
		{"ssh key broken", values{"url": "git@x.org:a", "ssh": values{"key": "s3cret"}}, []string{"error ssh.key: the ssh key cannot be read"}},
		{"ssh key protected", values{"url": "git@x.org:a", "ssh": values{"key": protected.Private}}, []string{"error ssh.key: the ssh key is protected: set passphrase"}},
		{"wrong passphrase", values{"url": "git@x.org:a", "ssh": values{"key": protected.Private, "passphrase": "s3cret"}}, []string{"error ssh.key: the ssh key cannot be read"}},
		{"known_hosts broken", values{"url": "git@x.org:a", "ssh": values{"key_file": "/k", "known_hosts": "nonsense here"}}, []string{"error ssh.known_hosts: "}},
		{"key_secret", values{"url": "git@x.org:a", "ssh": values{"key_secret": "a/b/c"}}, []string{"error ssh.key_secret: "}},

		{"tls on http", values{"url": "http://x.org/a", "tls": values{"ca_file": "/c"}}, []string{"error tls: tls is for https"}},
		{"tls without key", values{"url": "https://x.org/a", "tls": values{"cert_file": "/c"}}, []string{"error tls.cert_file: "}},
		{"tls without certificate", values{"url": "https://x.org/a", "tls": values{"key_file": "/c"}}, []string{"error tls.key_file: "}},

		{"write", values{"url": "/a", "write": values{}}, nil},
		{"write, all", values{"url": "/a", "branch": "main", "write": values{"author": "A B <a@b>", "committer": "Ö (x) <o@x.org>", "ci_skip": true, "ci_skip_message": "***NO_CI***", "sign": values{"key": key.Private}}}, nil},
		{"write with a tag", values{"url": "/a", "tag": "v1", "write": values{}}, nil},
		{"author without mail", values{"url": "/a", "write": values{"author": "Ann"}}, []string{`error write.author: "Ann" is not a name with a mail address`}},
		{"committer of two lines", values{"url": "/a", "write": values{"committer": "A\nB <a@b>"}}, []string{"error write.committer: "}},
		{"author with brackets", values{"url": "/a", "write": values{"author": "A <a@b> <c@d>"}}, []string{"error write.author: "}},
		{"sign without key", values{"url": "/a", "write": values{"sign": values{}}}, []string{"error write.sign: sign needs key or key_file"}},
		{"sign with both", values{"url": "/a", "write": values{"sign": values{"key": key.Private, "key_file": "/k"}}}, []string{"error write.sign: sign needs key or key_file"}},
		{"sign with nonsense", values{"url": "/a", "write": values{"sign": values{"key": "s3cret"}}}, []string{"error write.sign.key: the ssh key cannot be read"}},
		{"sign with a protected key", values{"url": "/a", "write": values{"sign": values{"key": protected.Private}}}, []string{"error write.sign.key: the ssh key is protected: set passphrase"}},
		{"sign with broken OpenPGP", values{"url": "/a", "write": values{"sign": values{"key": "-----BEGIN PGP PRIVATE KEY BLOCK-----\ns3cret"}}}, []string{"error write.sign.key: the OpenPGP key cannot be read"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := json.Marshal(c.config)
			if err != nil {
				t.Fatal(err)
			}
			var config Config
			var got []string
			for i, d := range schema.Decode(text, &config) {
				line := d.Severity.String() + " " + d.Path.String() + ": " + d.Summary
				if strings.Contains(d.Error(), "s3cret") {
					t.Errorf("a secret stands in %q", d)
				}
				if i < len(c.want) && strings.HasPrefix(line, c.want[i]) {
					line = c.want[i]
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every attribute is documented; README.md names them all.
func TestSchemaIsDocumented(t *testing.T) {
	s, err := schema.Of[Config]()
	if err != nil {
		t.Fatal(err)
	}
	readme := readFile(t, "README.md")
	var check func(at string, s schema.Schema)
	check = func(at string, s schema.Schema) {
		for _, a := range s.Attributes {
			if a.Doc == "" {
				t.Errorf("%s%s has no doc", at, a.Name)
			}
			if !strings.Contains(readme, "`"+at+a.Name+"`") {
				t.Errorf("README.md does not name `%s%s`", at, a.Name)
			}
		}
		for _, b := range s.Blocks {
			check(at+b.Name+".", b.Body)
		}
	}
	check("", *s)
}
