package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/remote"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// pages serves a listing whose pages lead from one to the next by links.
func (o *oddRegistry) pages(links map[string]string, bodies map[string]string) {
	o.HandleFunc("/v2/team/app/tags/list", func(w http.ResponseWriter, r *http.Request) {
		last := r.URL.Query().Get("last")
		if link, ok := links[last]; ok {
			w.Header().Set("Link", link)
		}
		body(200, bodies[last])(w, r)
	})
}

func TestPages(t *testing.T) {
	for _, tt := range []struct {
		name   string
		links  map[string]string
		bodies map[string]string
		want   []string
		err    string
	}{
		{"relative links, and tags that come twice",
			map[string]string{"": `</v2/team/app/tags/list?last=b>; rel="next"`, "b": `<?last=d>; rel="next"`},
			map[string]string{"": `{"name":"team/app","tags":["a","b"]}`, "b": `{"name":"team/app","tags":["b","c","d"]}`, "d": `{"name":"team/app","tags":null}`},
			[]string{"a", "b", "c", "d"}, ""},
		{"names that are none", nil,
			map[string]string{"": `{"name":"team/app","tags":["a","","b/c","-x","x y","` + strings.Repeat("l", 129) + `","ok"]}`}, []string{"a", "ok"}, ""},
		{"a circle", map[string]string{"": `<?last=b>; rel="next"`, "b": `<?last=b>; rel="next"`},
			map[string]string{"": `{"name":"team/app","tags":["a"]}`, "b": `{"name":"team/app","tags":["b"]}`}, nil, "circle"},
		{"another host", map[string]string{"": `<https://thief.example.com/v2/team/app/tags/list?last=a>; rel="next"`},
			map[string]string{"": `{"name":"team/app","tags":["a"]}`}, nil, "another host"},
		{"JSON that is cut", nil, map[string]string{"": `{"name":"team/app","tags":["a","b`}, nil, "JSON"},
		{"JSON and more", nil, map[string]string{"": `{"name":"team/app","tags":["a"]}{`}, nil, "JSON"},
		{"JSON of another kind", nil, map[string]string{"": `{"repositories":["a"]}`}, nil, "JSON"},
		{"no tags", nil, map[string]string{"": `{"name":"team/app"}`}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOddRegistry(t)
			o.pages(tt.links, tt.bodies)
			c, _ := newClient(t, plain)
			got, listing, err := list(t, c, o.repo(), remote.TagsOptions{})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !remote.IsBroken(err) {
					t.Errorf("the error is %v, want %q", err, tt.err)
				}
				return
			}
			if diff := cmp.Diff(tt.want, names(got)); diff != "" || err != nil {
				t.Errorf("%v, tags (-want +got):\n%s", err, diff)
			}
			if listing.Dropped > 0 != (tt.name == "names that are none") {
				t.Errorf("dropped %d", listing.Dropped)
			}
		})
	}
}

// A registry that never ends costs no more memory than a large one.
func TestEndlessListings(t *testing.T) {
	many := `{"name":"team/app","tags":["a"` + strings.Repeat(`,"b"`, 200_000) + `]}`
	images := `{"name":"team/app","manifest":{"x":{}` + strings.Repeat(`,"x":{}`, 200_000) + `}}`
	for name, serve := range map[string]http.HandlerFunc{
		"one page":     body(200, many),
		"many images":  body(200, images),
		"a large page": body(200, `{"name":"`+strings.Repeat("x", 17<<20)+`"}`),
		"a long link":  body(200, `{"name":"team/app","tags":["a"]}`, "Link", `</v2/?`+strings.Repeat("x", 5000)+`>; rel="next"`),
		"many pages": func(w http.ResponseWriter, r *http.Request) {
			last := r.URL.Query().Get("last")
			var tags []string
			for i := range 50_000 {
				tags = append(tags, fmt.Sprintf(`"%s-%d"`, "t"+last, i))
			}
			body(200, `{"name":"team/app","tags":[`+strings.Join(tags, ",")+`]}`, "Link", `<?last=x`+last+`>; rel="next"`)(w, r)
		},
	} {
		o := newOddRegistry(t)
		o.Handle("/v2/team/app/tags/list", serve)
		c, _ := newClient(t, plain)
		_, _, err := list(t, c, o.repo(), remote.TagsOptions{})
		if !remote.IsBroken(err) || len(err.Error()) > 500 {
			t.Errorf("%s: %v", name, err)
		}
		if got := o.requests(); len(got) > 5 {
			t.Errorf("%s: %d requests", name, len(got))
		}
	}
}

// A registry that does not take a page size is asked for less, once.
func TestPageSizes(t *testing.T) {
	for _, tt := range []struct {
		most   string
		status int
		want   []string
	}{
		{"100", 413, []string{"1000", "100", "100"}},
		{"100", 400, []string{"1000", "100", "100"}},
		{"", 400, []string{"1000", "100", "", ""}},
	} {
		o := newOddRegistry(t)
		var asked []string
		o.HandleFunc("/v2/team/app/tags/list", func(w http.ResponseWriter, r *http.Request) {
			n := r.URL.Query().Get("n")
			asked = append(asked, n)
			if n != tt.most {
				body(tt.status, `{"errors":[{"code":"PAGINATION_NUMBER_INVALID"}]}`)(w, r)
				return
			}
			body(200, `{"name":"team/app","tags":["a"]}`)(w, r)
		})
		c, _ := newClient(t, plain)
		for range 2 {
			if _, _, err := list(t, c, o.repo(), remote.TagsOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(tt.want, asked); diff != "" {
			t.Errorf("n (-want +got):\n%s", diff)
		}
	}
}

// Google's extension is understood wherever it comes from.
func TestGoogleExtension(t *testing.T) {
	digest := digestOf("x")
	for name, tt := range map[string]struct {
		body   string
		want   map[string]registry.Tag
		native bool
	}{
		"complete": {`{"name":"team/app","tags":["a","b"],"manifest":{"` + digest + `":{"tag":["a","b"],"timeCreatedMs":"1767225600000","timeUploadedMs":"1767225601000"}}}`,
			map[string]registry.Tag{
				"a": {Name: "a", Digest: digest, Created: time.UnixMilli(1767225600000).UTC(), Pushed: time.UnixMilli(1767225601000).UTC()},
				"b": {Name: "b", Digest: digest, Created: time.UnixMilli(1767225600000).UTC(), Pushed: time.UnixMilli(1767225601000).UTC()},
			}, true},
		"reproducible build": {`{"tags":["a"],"manifest":{"` + digest + `":{"tag":["a"],"timeCreatedMs":"0","timeUploadedMs":1767225601000}}}`,
			map[string]registry.Tag{"a": {Name: "a", Digest: digest, Pushed: time.UnixMilli(1767225601000).UTC()}}, true},
		"a tag without": {`{"tags":["a","b"],"manifest":{"` + digest + `":{"tag":["a"],"timeUploadedMs":"1767225601000"}}}`,
			map[string]registry.Tag{"a": {Name: "a", Digest: digest, Pushed: time.UnixMilli(1767225601000).UTC()}, "b": {Name: "b"}}, false},
		"nonsense": {`{"tags":["a"],"manifest":{"no digest":{"tag":["a"],"timeUploadedMs":{}}}}`,
			map[string]registry.Tag{"a": {Name: "a"}}, false},
	} {
		o := newOddRegistry(t)
		o.pages(nil, map[string]string{"": tt.body})
		c, _ := newClient(t, plain)
		got, listing, err := list(t, c, o.repo(), remote.TagsOptions{})
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil || listing.Native != tt.native {
			t.Errorf("%s: %+v, %v, tags (-want +got):\n%s", name, listing, err, diff)
		}
	}
}

// Harbor is known by the service of its challenge, at the first listing.
func TestHarborIsRecognized(t *testing.T) {
	o := newOddRegistry(t)
	o.Handle("/service/token", body(200, `{"token":"t"}`))
	o.Handle("/v2/team/app/tags/list", wants("Bearer t", fmt.Sprintf(`Bearer realm="%s/service/token",service="harbor-registry"`, o.URL), body(200, `{"name":"team/app","tags":["1"]}`)))
	o.HandleFunc("/api/v2.0/projects/team/repositories/app/artifacts", func(w http.ResponseWriter, r *http.Request) {
		if user, _, _ := r.BasicAuth(); user != "robot$x" {
			body(401, "")(w, r)
			return
		}
		body(200, `[{"digest":"`+digestOf("x")+`","tags":[{"name":"1","push_time":"2026-01-02T03:04:05Z"}]},{"digest":"`+digestOf("y")+`","tags":null}]`)(w, r)
	})
	c, _ := newClient(t, plain, password("robot$x", "p"))
	for range 2 {
		got, listing, err := list(t, c, o.repo(), remote.TagsOptions{Times: true})
		want := map[string]registry.Tag{"1": {Name: "1", Digest: digestOf("x"), Pushed: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}}
		if diff := cmp.Diff(want, got); diff != "" || err != nil || !listing.Native {
			t.Errorf("%+v, %v, tags (-want +got):\n%s", listing, err, diff)
		}
	}
	if got := o.requests(); len(got) != 5 { // two for the challenge, a token, and one for each listing
		t.Errorf("requests %q", got)
	}
}

// A slow answer is given up with the context, at once.
func TestSlowAnswer(t *testing.T) {
	o := newOddRegistry(t)
	o.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c, _ := newClient(t, plain)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Head(ctx, o.repo(), "1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
	if got := o.requests(); len(got) != 1 {
		t.Errorf("requests %q", got)
	}
}

// Registries that send large answers slowly hold up each other, and nobody
// whose answers are small.
func TestLargeAnswersWaitForEachOther(t *testing.T) {
	const atOnce = 8
	done, sent := make(chan struct{}), make(chan struct{}, atOnce)
	slow := newOddRegistry(t)
	slow.HandleFunc("/v2/team/app/tags/list", func(w http.ResponseWriter, r *http.Request) {
		chunk := strings.Repeat(" ", 64<<10)
		for range 240 { // 15 MiB: more than the kernel keeps for a reader that waits
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
		select {
		case sent <- struct{}{}:
			<-done
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, strings.Repeat(" ", 2<<20)) // too large now, so that nobody spends time on reading it
	})
	c, _ := newClient(t, plain)
	var readers sync.WaitGroup
	for range atOnce {
		readers.Go(func() {
			if _, _, err := list(t, c, slow.repo(), remote.TagsOptions{}); !remote.IsBroken(err) {
				t.Error(err)
			}
		})
	}
	for range atOnce {
		<-sent
	}
	quick := newOddRegistry(t)
	quick.pages(nil, map[string]string{"": `{"name":"team/app","tags":["1"]}`})
	if _, _, err := list(t, c, quick.repo(), remote.TagsOptions{}); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := c.Tags(ctx, slow.repo(), remote.TagsOptions{}, func(registry.Tag) {})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "others were reading large answers") {
		t.Errorf("one too many: %v", err)
	}
	close(done)
	readers.Wait()
}
