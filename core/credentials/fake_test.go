package credentials

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cloud issues passwords that end, as those of clouds do, and checks them as
// their registries do. Each asking issues a new one, unless it is stuck.
type cloud struct {
	life      time.Duration // zero: for ever
	scope     registry.Scope
	delay     time.Duration // of each answer
	consumers bool
	lister    bool
	stuck     bool // gives the same password for ever

	mu      sync.Mutex
	err     error // instead of an answer
	openErr error
	none    func(registry.Request) bool // has nothing for these
	why     error                       // instead of registry.ErrAnonymous, which it wraps
	asked   []registry.Request
	opened  int
	open    int // handles
	serial  int
	valid   map[string]issued
	skew    time.Duration // of the expiry times it tells
}

type issued struct {
	until    time.Time
	consumer string
}

func (c *cloud) provider(address string) Provider {
	return Provider{Address: address, Origin: Declared, Key: "1", Open: c.Open}
}

func (c *cloud) Open(ctx context.Context) (Handle, error) {
	if err := pause(ctx, c.delay); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened++
	if c.openErr != nil {
		return nil, c.openErr
	}
	c.open++
	return &cloudHandle{cloud: c}, nil
}

func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cloudHandle fails the calls that no broker may make.
type cloudHandle struct {
	*cloud
	calls  int
	closed bool
}

func (h *cloudHandle) enter() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		panic("a call on a closed handle")
	}
	h.calls++
}

func (h *cloudHandle) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls--
}

func (h *cloudHandle) Credential(ctx context.Context, req registry.Request) (registry.Credential, error) {
	h.enter()
	defer h.leave()
	c := h.cloud
	c.mu.Lock()
	c.asked = append(c.asked, req)
	c.mu.Unlock()
	if err := pause(ctx, c.delay); err != nil {
		return registry.Credential{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return registry.Credential{}, c.err
	}
	if c.none != nil && c.none(req) {
		return registry.Credential{}, cmp.Or(c.why, registry.ErrAnonymous)
	}
	if !c.stuck || c.serial == 0 {
		c.serial++
	}
	password := fmt.Sprintf("planted-%d-for-%s", c.serial, req.Consumer.Namespace)
	out := registry.Credential{Username: "user", Password: secret.New(password), Scope: c.scope}
	if c.valid == nil {
		c.valid = map[string]issued{}
	}
	until := time.Now().Add(1000 * time.Hour)
	if c.life > 0 {
		until = time.Now().Add(c.life)
		out.ExpiresAt = until.Add(c.skew).Round(0)
	}
	c.valid[password] = issued{until, fmt.Sprint(req.Consumer)}
	return out, nil
}

func (h *cloudHandle) Tags(ctx context.Context, req registry.Request, emit func(registry.Tag)) error {
	h.enter()
	defer h.leave()
	h.mu.Lock()
	err := h.err
	h.mu.Unlock()
	if strings.HasPrefix(req.Repository, "unlisted/") {
		return registry.ErrAnonymous
	}
	emit(registry.Tag{Name: "1.0", Pushed: time.Unix(1, 0)})
	return err
}

func (h *cloudHandle) Has(capability string) bool {
	return capability == registry.CanListTags && h.lister || capability == registry.ForConsumers && h.consumers
}

func (h *cloudHandle) Close(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.calls > 0 {
		panic("a handle is closed twice, or while it is used")
	}
	h.closed = true
	h.open--
	return nil
}

// accepts is the registry's word on a credential.
func (c *cloud) accepts(cred Credential) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.valid[cred.Password.Reveal()]
	return ok && time.Now().Before(i.until)
}

func (c *cloud) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *cloud) requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.asked)
}

func (c *cloud) opens() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opened
}

func (c *cloud) handles() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// notices collects what a broker tells.
type notices struct {
	mu  sync.Mutex
	all []Notice
}

func (n *notices) add(notice Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, notice)
}

func (n *notices) reasons() []NoticeReason {
	n.mu.Lock()
	defer n.mu.Unlock()
	var reasons []NoticeReason
	for _, notice := range n.all {
		reasons = append(reasons, notice.Reason)
	}
	return reasons
}

func (n *notices) want(t *testing.T, want ...NoticeReason) {
	t.Helper()
	if got := n.reasons(); !slices.Equal(got, want) {
		t.Errorf("notices %v, want %v", got, want)
	}
}

func newBroker(t *testing.T, o Options, providers ...Provider) *Broker {
	b := New(o)
	b.Configure(providers)
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return b
}

var image = Request{Host: "registry.example.com", Repository: "team/web"}

func repository(name string) Request { return Request{Host: image.Host, Repository: name} }

func mustGet(t *testing.T, b *Broker, req Request) Credential {
	t.Helper()
	c, err := b.Credential(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var errDown = errors.New("the cloud is down")
