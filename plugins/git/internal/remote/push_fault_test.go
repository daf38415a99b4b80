package remote

import (
	"strings"
	"testing"
)

// What servers say to pushes, in their own words.
func TestExplainPush(t *testing.T) {
	const ref = "refs/heads/main"
	rejected := func(summary string) string {
		return "To https://git.example.com/a\n!\t0123:refs/heads/main\t" + summary + "\nDone\n"
	}
	for _, c := range []struct {
		name           string
		stdout, stderr string
		kind           Kind
		words          string
	}{
		{"lease", rejected("[rejected] (stale info)"), "error: failed to push some refs\n", Raced, ""},
		{"fetch first", rejected("[rejected] (fetch first)"), "", Raced, ""},
		{"GitHub, race", rejected("[remote rejected] (cannot lock ref 'refs/heads/main': is at 12 but expected 34)"), "", Raced, ""},
		{"receive-pack, race", rejected("[remote rejected] (failed to update ref)"), "remote: error: cannot lock ref 'refs/heads/main': is at 12 but expected 34\n", Raced, ""},
		{"another holds the lock", rejected("[remote rejected] (failed to update ref)"),
			"remote: error: cannot lock ref 'refs/heads/main': Unable to create '/srv/a/refs/heads/main.lock': File exists.\n", Raced, ""},
		{"branch in the way", rejected("[remote rejected] (failed to update ref)"),
			"remote: error: cannot lock ref 'refs/heads/a/b': 'refs/heads/a' exists; cannot create 'refs/heads/a/b'\n", Declined, "cannot create 'refs/heads/a/b'"},
		{"file system", rejected("[remote rejected] (failed to update ref)"),
			"remote: error: cannot lock ref 'refs/heads/main': Unable to create '/srv/a/refs/heads/main.lock': Permission denied\n", Declined, "Permission denied"},
		{"GitHub, protected", rejected("[remote rejected] (protected branch hook declined)"),
			"remote: error: GH006: Protected branch update failed for refs/heads/main.\nremote: error: Changes must be made through a pull request.\n",
			Declined, "GH006: Protected branch update failed for refs/heads/main. Changes must be made through a pull request."},
		{"GitLab, protected", rejected("[remote rejected] (pre-receive hook declined)"),
			"remote: GitLab: You are not allowed to push code to protected branches on this project.\n", Declined, "not allowed to push code to protected branches"},
		{"Gerrit", rejected("[remote rejected] (prohibited by Gerrit: not permitted: update)"), "", Declined, "prohibited by Gerrit"},
		{"checked out", rejected("[remote rejected] (branch is currently checked out)"), "", Declined, "checked out"},
		{"server's disk", rejected("[remote rejected] (unpacker error)"), "remote: fatal: write error: No space left on device\n", Busy, "No space left"},
		{"GitHub, key", "", "ERROR: The key you are authenticating with has been marked as read only.\nfatal: Could not read from remote repository.\n", Declined, "marked as read only"},
		{"GitLab, key", "", "remote: \nremote: ====\nremote: \nremote: ERROR: This deploy key does not have write access to this project.\nremote: \nremote: ====\nremote: \nfatal: Could not read from remote repository.\n",
			Declined, "(This deploy key does not have write access to this project.)"},
		{"GitHub, token", "", "remote: Permission to a/b.git denied to bot.\nfatal: unable to access 'https://github.com/a/b/': The requested URL returned error: 403\n", Denied, "Permission to a/b.git denied to bot."},
		{"GitHub, archived", "", "ERROR: This repository was archived so it is read-only.\nfatal: Could not read from remote repository.\n", Declined, "archived"},
		{"connection", "", "error: RPC failed; curl 56 Recv failure: Connection reset by peer\nfatal: the remote end hung up unexpectedly\n", Busy, "hung up"},
		{"unknown reason", rejected("[remote rejected] (the moon is full)"), "", Declined, "the moon is full"},
	} {
		f := explainPush(Target{Address: Address{Scheme: "https", Host: "git.example.com", Path: "/a"}}, ref, c.stdout, c.stderr)
		if f.Kind != c.kind || !strings.Contains(f.Error(), c.words) {
			t.Errorf("%s: kind %d, %v; want kind %d and %q", c.name, f.Kind, f, c.kind, c.words)
		}
	}
}
