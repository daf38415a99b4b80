package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/dialect"
	"github.com/sluice-gitops/sluice/scripts/devregistry/front"
)

const usage = `Usage: devregistry [flags]
       devregistry push HOST:PORT/REPOSITORY:TAG...

Runs an image registry on free ports of 127.0.0.1: distribution, behind a front
that records requests, injects faults and asks for credentials. When it serves
it prints one line of JSON with its addresses. It ends when its standard input
is closed, or on SIGTERM or SIGINT, and leaves nothing behind.

  devregistry < <(sleep infinity)         # in a shell: until Ctrl-C

With push it stores a small image, built now, in a running registry that asks
for no credentials.

Flags:
`

type options struct {
	auth      front.Mode
	users     []front.User
	tls       bool
	data      string
	tokenLife time.Duration
	cloudLife time.Duration
	clouds    []string
	dialect   string
	verbose   bool
}

// parse reads the command line. It explains itself on stderr where it returns
// an error, which is flag.ErrHelp if help was asked for.
func parse(args []string, stderr io.Writer) (options, error) {
	o := options{auth: front.AuthNone}
	f := flag.NewFlagSet("devregistry", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		_, _ = io.WriteString(stderr, usage) // stderr is all there is to complain to
		f.PrintDefaults()
	}
	f.Func("auth", "how it asks for credentials: `none` (default), basic, token or cloud", func(s string) (err error) {
		o.auth, err = front.ParseMode(s)
		return err
	})
	f.Func("user", "`name:password` of a user who may do everything; can be repeated", o.addUser)
	f.BoolVar(&o.tls, "tls", false, "serve https, with a certificate of an authority that is made for it")
	f.StringVar(&o.data, "data", "", "keep images in this `directory`; without it in memory")
	f.DurationVar(&o.tokenLife, "token-life", time.Minute, "how long tokens of the token endpoint are valid")
	f.DurationVar(&o.cloudLife, "cloud-life", 5*time.Second, "how long credentials that a cloud issues are valid")
	f.Func("cloud", "fakes of clouds to run, separated by commas: `"+strings.Join(cloudNames(), ", ")+"`", o.addClouds)
	f.Func("dialect", "listing API of a service: `"+strings.Join(dialect.Names(), ", ")+"`", o.setDialect)
	f.BoolVar(&o.verbose, "v", false, "log what the registry says of itself, on stderr")
	err := f.Parse(args)
	if err == nil && f.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if err == nil && (o.tokenLife < time.Second || o.cloudLife <= 0) {
		err = errors.New("-token-life is at least 1s, and -cloud-life longer than nothing")
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(stderr, "devregistry:", err)
	}
	return o, err
}

func (o *options) addUser(s string) error {
	name, password, ok := strings.Cut(s, ":")
	if !ok {
		return errors.New("a user is written name:password")
	}
	o.users = append(o.users, front.User{Name: name, Password: password})
	return nil
}

func (o *options) addClouds(s string) error {
	for name := range strings.SplitSeq(s, ",") {
		if clouds[name] == nil {
			return fmt.Errorf("there is no fake of %q, only of %s", name, strings.Join(cloudNames(), ", "))
		}
		if !slices.Contains(o.clouds, name) {
			o.clouds = append(o.clouds, name)
		}
	}
	return nil
}

func (o *options) setDialect(s string) error {
	if !slices.Contains(dialect.Names(), s) {
		return fmt.Errorf("there is no dialect %q, only %s", s, strings.Join(dialect.Names(), ", "))
	}
	o.dialect = s
	return nil
}

func cloudNames() []string { return slices.Sorted(maps.Keys(clouds)) }
