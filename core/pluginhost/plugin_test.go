//go:build unix

package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// testConfig configures the instances of the test plugins, which do to each
// call what it says.
type testConfig struct {
	Do    string     `hcl:"do,optional" doc:"What Resolve, Fetch or Commit does."`
	File  string     `hcl:"file,optional" doc:"A file to do it with."`
	Token sdk.Secret `hcl:"token,optional" doc:"A secret."`
}

// serveTest is a well-behaved plugin that offers source/test and whatever else
// is named, until a configuration says otherwise.
func serveTest(name string, types ...string) func() {
	return func() {
		p := sdk.Plugin{Name: name, Version: "1.2.3"}
		for _, typ := range types {
			p.Kinds = append(p.Kinds, source.New(typ, openTest))
		}
		sdk.Main(p)
	}
}

// Validate runs in "BINARY validate", and before each open.
func (c *testConfig) Validate() diag.List {
	switch c.Do {
	case "mistake":
		return diag.List{diag.Errorf(diag.Attr("token"), "token %s is too short", c.Token.Reveal())}
	case "die in validate":
		fmt.Fprintln(os.Stderr, "cannot judge "+c.Token.Reveal())
		os.Exit(9)
	case "hang in validate":
		sleepForever()
	case "print in validate":
		fmt.Println("judging")
	}
	return nil
}

type testSource struct {
	c   testConfig
	env sdk.Env
}

func openTest(ctx context.Context, c testConfig, env sdk.Env) (*testSource, error) {
	s := &testSource{c, env}
	switch c.Do {
	case "refuse":
		return nil, diag.Errorf(diag.Attr("token"), "token %s is not accepted", c.Token.Reveal())
	case "die in open":
		os.Exit(9)
	case "ask in open":
		_, err := env.Host.ReadSecret(ctx, host.SecretRef{Name: "key"})
		return s, err
	case "die in reopen":
		return s, s.once(func() error { return nil }, func() error { os.Exit(9); return nil })
	case "hang in open":
		env.Log.Info("opening")
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s, nil
}

// once does first the first time, told by the configured file, and then later.
func (s *testSource) once(first, later func() error) error {
	f, err := os.OpenFile(s.c.File, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return later()
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), first())
}

// Resolve returns the process id as the revision.
func (s *testSource) Resolve(ctx context.Context, previous source.Revision) (source.Revision, error) {
	rev := source.Revision{ID: strconv.Itoa(os.Getpid())}
	switch s.c.Do {
	case "have a child":
		child := sleeper()
		err := child.Start()
		return source.Revision{ID: strconv.Itoa(child.Process.Pid)}, err
	case "echo":
		return previous, nil
	case "die":
		fmt.Fprintln(os.Stderr, "cannot go on with "+s.c.Token.Reveal())
		os.Exit(7)
	case "die once":
		return rev, s.once(func() error { os.Exit(7); return nil }, func() error { return nil })
	case "panic":
		panic("in a handler")
	case "panic in goroutine":
		go panic("in a goroutine with " + s.c.Token.Reveal())
		<-ctx.Done()
	case "hang":
		s.env.Log.Info("hanging")
		<-ctx.Done()
		return rev, ctx.Err()
	case "fail":
		return rev, fmt.Errorf("login with %s failed", s.c.Token.Reveal())
	case "gone":
		return rev, source.ErrGone
	case "log":
		s.env.Log.Warn("using token", "token", s.c.Token.Reveal(), "n", 1)
	case "hostile log":
		_, _ = os.Stderr.WriteString(`{"@message":5,"@level":["x"],"@timestamp":{}}` + "\n" + `{"@level":"info"` + "\n" + strings.Repeat("y", 5<<20) + "\n")
	case "flood":
		for n := range 20_000 {
			s.env.Log.Info("flood", "n", n)
		}
	case "print":
		for range 20_000 {
			fmt.Println("chatter on standard output")
		}
	case "huge":
		rev.Message = strings.Repeat("m", 17<<20)
	case "secret":
		v, err := s.env.Host.ReadSecret(ctx, host.SecretRef{Name: "key"})
		s.env.Log.Info("read " + v.Reveal())
		return source.Revision{ID: strconv.Itoa(len(v.Reveal()))}, err
	case "event":
		return rev, s.env.Host.Event(ctx, host.Event{
			Reason: "Test", Message: "with " + s.c.Token.Reveal(), Labels: map[string]string{"label": s.c.Token.Reveal()},
		})
	}
	return rev, nil
}

// Check implements sdk.Checker.
func (s *testSource) Check(context.Context) error {
	if s.c.Do == "fail" {
		return fmt.Errorf("login with %s failed", s.c.Token.Reveal())
	}
	return nil
}

func (s *testSource) Fetch(context.Context, source.Revision, string) error { return nil }

// Commit dies in a call that must not be repeated.
func (s *testSource) Commit(context.Context, source.Change) (source.Revision, error) {
	return source.Revision{ID: "1"}, s.once(func() error { os.Exit(7); return nil }, func() error { return nil })
}

// Watch emits once and waits.
func (s *testSource) Watch(ctx context.Context, emit func(source.Revision)) error {
	emit(source.Revision{ID: strconv.Itoa(os.Getpid())})
	<-ctx.Done()
	return ctx.Err()
}
