package conformance

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

var registryChecks = []Check{
	{"registry-passes-on-what-is-not-its", withRegistry(passesOnWhatIsNotIts)},
	{"registry-answers", withRegistry(answers)},
	{"registry-keeps-consumers-apart", withRegistry(keepsConsumersApart)},
	{"registry-lists-tags", withRegistry(listsTags)},
	{"registry-keeps-credentials-out-of-the-log", keepsCredentialsOutOfTheLog},
}

type openRegistry struct {
	*client.Registry
	caps   []string
	images []registry.Request
}

func withRegistry(check func(t T, r openRegistry)) func(T, *Subject) {
	return func(t T, s *Subject) {
		o := s.open(t)
		defer s.closed(t, o.Instance)
		check(t, openRegistry{client.NewRegistry(s.caller(t, o)), o.Capabilities, s.Images})
	}
}

// passesOnWhatIsNotIts asks for a host that cannot exist.
func passesOnWhatIsNotIts(t T, r openRegistry) {
	_, err := r.Credential(t.Context(), registry.Request{Host: "registry.invalid", Repository: "no/such"})
	if !errors.Is(err, registry.ErrAnonymous) {
		t.Errorf("Credential for registry.invalid: %v; want ErrAnonymous, so that the next provider is asked", err)
	}
}

func answers(t T, r openRegistry) {
	if len(r.images) == 0 {
		t.Skipf("no sample image")
	}
	const many = 4
	var wg sync.WaitGroup
	for _, image := range r.images {
		for range many {
			wg.Go(func() {
				c, err := r.Credential(t.Context(), image)
				switch {
				case err != nil:
					t.Errorf("Credential for %s: %v", image.Host, err)
				case c.Password.IsZero() && c.IdentityToken.IsZero():
					t.Errorf("the credential for %s is empty; want ErrAnonymous instead", image.Host)
				case !c.ExpiresAt.IsZero() && c.ExpiresAt.Before(time.Now()):
					t.Errorf("the credential for %s has expired", image.Host)
				}
			})
		}
	}
	wg.Wait()
}

// keepsConsumersApart asks for what a consumer has in the name of others: of
// the daemon itself, and of a namespace that cannot exist.
func keepsConsumersApart(t T, r openRegistry) {
	if !slices.Contains(r.caps, registry.ForConsumers) {
		t.Skipf("the provider lacks the capability %s", registry.ForConsumers)
	}
	asked := 0
	for _, image := range r.images {
		if image.Consumer.Namespace == "" {
			continue
		}
		asked++
		own, err := r.Credential(t.Context(), image)
		if err != nil {
			t.Errorf("Credential for %s: %v", image.Host, err)
		}
		elsewhere := image.Consumer
		elsewhere.Namespace = "conformance-no-such"
		for _, other := range []registry.Consumer{{}, elsewhere} {
			image.Consumer = other
			c, err := r.Credential(t.Context(), image)
			switch {
			case err != nil && !errors.Is(err, registry.ErrAnonymous):
				t.Errorf("Credential for %s in the name of %+v: %v; want ErrAnonymous", image.Host, other, err)
			case err == nil && c.Password == own.Password && c.IdentityToken == own.IdentityToken:
				t.Errorf("the credential for %s is given to %+v too", image.Host, other)
			}
		}
	}
	if asked == 0 {
		t.Skipf("no sample image has a consumer")
	}
}

func listsTags(t T, r openRegistry) {
	switch {
	case !slices.Contains(r.caps, registry.CanListTags):
		t.Skipf("the provider lacks the capability %s", registry.CanListTags)
	case len(r.images) == 0:
		t.Skipf("no sample image")
	}
	for _, image := range r.images {
		seen := map[string]bool{}
		err := r.Tags(t.Context(), image, func(tag registry.Tag) {
			if tag.Name == "" || seen[tag.Name] {
				t.Errorf("%s/%s: the tag %q is empty or was emitted twice", image.Host, image.Repository, tag.Name)
			}
			seen[tag.Name] = true
		})
		if err != nil && !errors.Is(err, registry.ErrAnonymous) {
			t.Errorf("Tags of %s/%s: %v", image.Host, image.Repository, err)
		}
	}
}

func keepsCredentialsOutOfTheLog(t T, s *Subject) {
	withRegistry(func(t T, r openRegistry) {
		if len(r.images) == 0 {
			t.Skipf("no sample image")
		}
		for _, image := range r.images {
			c, err := r.Credential(t.Context(), image)
			if err != nil {
				t.Fatalf("Credential for %s: %v", image.Host, err)
			}
			for _, secret := range []string{c.Password.Reveal(), c.IdentityToken.Reveal()} {
				if secret != "" && strings.Contains(s.running(t).Log(), secret) {
					t.Errorf("the credential for %s is in the log", image.Host)
				}
			}
		}
	})(t, s)
}
