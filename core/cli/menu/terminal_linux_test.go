package menu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// terminal is a real one: what the person types and sees is at its other end.
type terminal struct {
	tty, person *os.File
	reading     sync.WaitGroup
	mu          sync.Mutex
	seen        bytes.Buffer
	shown       chan struct{} // closed when the menu is there
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	// Raw descriptors: Fd would make the file one that Close cannot wake.
	raw, err := person.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	var lockErr, numberErr error
	if err := raw.Control(func(fd uintptr) {
		lockErr = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		number, numberErr = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
	}); errors.Join(err, lockErr, numberErr) != nil {
		t.Fatal(errors.Join(err, lockErr, numberErr))
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{tty: tty, person: person, shown: make(chan struct{})}
	x.reading.Go(x.watch)
	t.Cleanup(func() {
		_ = tty.Close()
		_ = person.Close()
		x.reading.Wait()
	})
	return x
}

// watch keeps what the person sees.
func (x *terminal) watch() {
	buf := make([]byte, 4096)
	open := false
	for {
		n, err := x.person.Read(buf)
		x.mu.Lock()
		x.seen.Write(buf[:n])
		there := strings.Contains(x.seen.String(), "q aborts")
		x.mu.Unlock()
		if there && !open {
			open = true
			close(x.shown)
		}
		if err != nil {
			return
		}
	}
}

func (x *terminal) screen() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.seen.String()
}

func (x *terminal) mode(t *testing.T) unix.Termios {
	t.Helper()
	m, err := unix.IoctlGetTermios(int(x.tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *m
}

// TestChoose types on a real terminal, which is as it was after each end.
func TestChoose(t *testing.T) {
	left := errors.New("the session ends")
	for name, tt := range map[string]struct {
		keys   []string // each is sent by itself
		chosen []int
		err    error
	}{
		"commit":          {keys: []string{"j", " ", "\r"}, chosen: []int{1}},
		"a key in pieces": {keys: []string{"\x1b[", "B ", "\r"}, chosen: []int{1}},
		"quit":            {keys: []string{"q"}, err: ErrAborted},
		"escape":          {keys: []string{"\x1b"}, err: ErrAborted},
		"ctrl-c":          {keys: []string{"\x03"}, err: ErrAborted},
		"the context":     {err: left},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTerminal(t)
			before := x.mode(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			var typing sync.WaitGroup
			typing.Go(func() {
				<-x.shown
				for _, k := range tt.keys {
					_, _ = io.WriteString(x.person, k)
				}
				if tt.keys == nil {
					cancel(left)
				}
			})
			chosen, err := Choose(ctx, Options{Header: "WORKLOAD", Help: "releases", Rows: rows(), In: x.tty, Out: x.tty})
			typing.Wait()
			if !errors.Is(err, tt.err) || !slices.Equal(chosen, tt.chosen) {
				t.Errorf("chosen %v, %v; want %v, %v", chosen, err, tt.chosen, tt.err)
			}
			if after := x.mode(t); after != before {
				t.Errorf("the terminal is left in another mode: %+v, was %+v", after, before)
			}
			if s := x.screen(); !strings.Contains(s, "> [x] shop:deployment/web") {
				t.Errorf("the person sees %q", s)
			}
		})
	}
}

// TestHangup: a terminal that goes away ends the menu.
func TestHangup(t *testing.T) {
	x := newTerminal(t)
	var closing sync.WaitGroup
	closing.Go(func() {
		<-x.shown
		_ = x.person.Close()
	})
	_, err := Choose(t.Context(), Options{Help: "releases", Rows: rows(), In: x.tty, Out: x.tty})
	closing.Wait()
	if err == nil || errors.Is(err, ErrAborted) {
		t.Errorf("error %v", err)
	}
}

func TestNoTerminal(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	if _, err := Choose(t.Context(), Options{Rows: rows(), In: null, Out: null}); err == nil || !strings.Contains(err.Error(), "no terminal") {
		t.Errorf("error %v", err)
	}
}
