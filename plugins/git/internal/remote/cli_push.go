package remote

import (
	"context"
	"strings"
)

// Push gives git a lease, which makes it a condition that the ref is u.Old. It
// sends what is new as it is: to look for deltas takes time in which somebody
// else may push, and saves little of what a person would read.
func (c CLI) Push(ctx context.Context, t Target, dir string, u Update) error {
	_, err := c.run(ctx, t, func(t Target, stdout, stderr string) *Fault {
		return explainPush(t, u.Ref, stdout, stderr)
	}, []string{
		"-c", "pack.window=0", "--git-dir", dir, "push", "--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no",
		"--force-with-lease=" + u.Ref + ":" + u.Old,
		"--", t.Address.String(), u.New + ":" + u.Ref,
	})
	return err
}

// explainPush makes a Fault of what a failed git push has written: a line for
// the ref, if it came to that, on standard output.
func explainPush(t Target, ref, stdout, stderr string) *Fault {
	for line := range strings.Lines(stdout) {
		status, ok := strings.CutPrefix(line, "!\t")
		if !ok {
			continue
		}
		_, summary, _ := strings.Cut(strings.TrimSpace(status), "\t")
		side, reason, _ := strings.Cut(summary, " (")
		return refusal(t, ref, side == "[rejected]", strings.TrimSuffix(reason, ")"), serverWords(stderr))
	}
	return explainNoPush(t, ref, stderr)
}
