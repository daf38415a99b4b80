package watch

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// server is a small API server: it has objects, a version, and watches that a
// test can end.
type server struct {
	mu      sync.Mutex
	version int
	oldest  int // versions before it are expired
	objects map[string]int
	watches []*kwatch.RaceFreeFakeWatcher
	lists   int
	down    error
}

func (s *server) set(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.objects[name]
	s.version++
	s.objects[name] = s.version
	for _, w := range s.watches {
		if there {
			w.Modify(s.meta(name))
		} else {
			w.Add(s.meta(name))
		}
	}
}

func (s *server) drop(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	m := s.meta(name)
	m.ResourceVersion = strconv.Itoa(s.version)
	delete(s.objects, name)
	for _, w := range s.watches {
		w.Delete(m)
	}
}

func (s *server) meta(name string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: name, UID: types.UID(name), ResourceVersion: strconv.Itoa(s.objects[name]),
	}}
}

func (s *server) listed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists
}

func (s *server) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.objects[name]
	return there
}

// endWatches closes all watches, as a server that restarts does.
func (s *server) endWatches(down error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watches {
		w.Stop()
	}
	s.watches, s.down = nil, down
}

func (s *server) list(_ context.Context, _ metav1.ListOptions) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	if s.down != nil {
		return nil, s.down
	}
	l := &metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(s.version)}}
	for name := range s.objects {
		l.Items = append(l.Items, *s.meta(name))
	}
	return l, nil
}

func (s *server) watch(_ context.Context, o metav1.ListOptions) (kwatch.Interface, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, err := strconv.Atoi(o.ResourceVersion)
	switch {
	case s.down != nil:
		return nil, s.down
	case err != nil:
		return nil, err
	case from < s.oldest:
		return nil, apierrors.NewResourceExpired("too old")
	}
	w := kwatch.NewRaceFreeFake()
	for name, v := range s.objects {
		if v > from {
			w.Modify(s.meta(name))
		}
	}
	s.watches = append(s.watches, w)
	return w, nil
}

func running(t *testing.T, srv *server) (*stream, *[]string) {
	t.Helper()
	st := newStream(source{
		list: srv.list, watch: srv.watch,
		keep: func(m metav1.Object) entry {
			return entry{uid: string(m.GetUID()), version: number(m.GetResourceVersion())}
		},
		ref: func(m metav1.Object) applier.Ref { return applier.Ref{Kind: "Thing", Name: m.GetName()} },
	})
	var heard []string
	st.listen(&listener{touched: func(ref applier.Ref, _, now entry) {
		what := "is"
		if now.uid == "" {
			what = "gone"
		}
		heard = append(heard, ref.Name+" "+what)
	}}, true)
	st.start(t.Context())
	return st, &heard
}

func has(st *stream, name string) bool {
	e, _, _ := st.get(applier.Ref{Kind: "Thing", Name: name})
	return e.uid == name
}

func TestStreamSurvives(t *testing.T) {
	down := errors.New("connection refused")
	for _, tt := range []struct {
		name    string
		trouble func(*server)
		lists   int // how often everything may be listed
	}{
		{"the end of a watch", func(s *server) { s.endWatches(nil); s.set("late") }, 1},
		{"an outage", func(s *server) {
			s.endWatches(down)
			time.Sleep(3 * time.Second)
			s.set("late")
			s.endWatches(nil)
		}, 1},
		{"an expired version", func(s *server) {
			s.endWatches(down)
			s.set("late")
			s.drop("early")
			s.mu.Lock()
			s.oldest = s.version
			s.mu.Unlock()
			s.endWatches(nil)
		}, 2},
		{"an error event", func(s *server) {
			s.mu.Lock()
			s.watches[0].Error(&metav1.Status{Code: 410})
			s.watches = nil
			s.mu.Unlock()
			s.set("late")
			s.drop("early")
		}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := &server{objects: map[string]int{}}
				srv.set("early")
				st, _ := running(t, srv)
				defer st.stop()
				<-st.synced
				synctest.Wait()
				tt.trouble(srv)
				time.Sleep(time.Minute)
				synctest.Wait()
				if !has(st, "late") {
					t.Error("the change that came with the trouble was missed")
				}
				if there := srv.has("early"); has(st, "early") != there {
					t.Errorf("early: there %t, believed there %t", there, !there)
				}
				if n := srv.listed(); n > tt.lists {
					t.Errorf("%d lists, want at most %d", n, tt.lists)
				}
			})
		})
	}
}

// TestStreamIsPatient: a server that stays away is not asked in a tight loop.
func TestStreamIsPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &server{objects: map[string]int{}, down: errors.New("connection refused")}
		st, _ := running(t, srv)
		defer st.stop()
		<-st.synced
		if _, _, problem := st.get(applier.Ref{}); problem != "connection refused" {
			t.Errorf("problem %q", problem)
		}
		time.Sleep(10 * time.Minute)
		if n := srv.listed(); n > 40 {
			t.Errorf("%d lists in ten minutes of outage", n)
		}
		srv.endWatches(nil)
		time.Sleep(time.Minute)
		if _, _, problem := st.get(applier.Ref{}); problem != "" {
			t.Errorf("problem %q after the outage", problem)
		}
	})
}

func TestStreamTellsEachChangeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &server{objects: map[string]int{}}
		srv.set("a")
		st, heard := running(t, srv)
		<-st.synced
		synctest.Wait()
		srv.set("b")
		srv.drop("a")
		synctest.Wait()
		st.stop()
		want := []string{"a is", "b is", "a gone"}
		if len(*heard) != len(want) {
			t.Fatalf("heard %v, want %v", *heard, want)
		}
		for i := range want {
			if (*heard)[i] != want[i] {
				t.Errorf("heard %v, want %v", *heard, want)
			}
		}
	})
}

// TestKindThatIsNotServed: there are no objects of it, which is no problem.
func TestKindThatIsNotServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &server{objects: map[string]int{}, down: apierrors.NewNotFound(schema.GroupResource{Resource: "things"}, "")}
		st, _ := running(t, srv)
		defer st.stop()
		<-st.synced
		if _, _, problem := st.get(applier.Ref{}); problem != "" {
			t.Errorf("problem %q", problem)
		}
	})
}
