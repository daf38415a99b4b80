package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

// general are the checks that every kind shares.
var general = []Check{
	{"starts", func(t T, s *Subject) { s.running(t) }},
	{"describes-itself", describesItself},
	{"describe-command-matches", describeCommandMatches},
	{"validate-command-answers", validateCommandAnswers},
	{"schema-is-sound", schemaIsSound},
	{"opens-and-closes", opensAndCloses},
	{"reopens-many-times", reopensManyTimes},
	{"tells-capabilities", tellsCapabilities},
	{"refuses-unknown-instances", refusesUnknownInstances},
	{"refuses-unknown-types", refusesUnknownTypes},
	{"reports-bad-configuration", reportsBadConfiguration},
	{"survives-unknown-arguments", survivesUnknownArguments},
	{"ignores-unknown-fields", ignoresUnknownFields},
	{"opens-concurrently", opensConcurrently},
	{"survives-signals", survivesSignals},
}

// final are the checks that end the process or look back.
var final = []Check{
	{"keeps-stdout-clean", keepsStdoutClean},
	{"keeps-secrets-out-of-the-log", keepsSecretsOutOfTheLog},
	{"stops-when-asked", stopsWhenAsked},
	{"exits-with-its-host", exitsWithItsHost},
}

func describesItself(t T, s *Subject) {
	p := s.plugin(t)
	first, err := p.Describe(t.Context())
	if err != nil {
		t.Fatalf("Describe: %v", err)
	}
	second, err := p.Describe(t.Context())
	if err != nil {
		t.Fatalf("Describe, the second time: %v", err)
	}
	if !reflect.DeepEqual(first, second) {
		t.Errorf("two calls of Describe differ:\n%+v\n%+v", first, second)
	}
	if !regexp.MustCompile(`^[a-z][a-z0-9_-]*$`).MatchString(first.Name) {
		t.Errorf("the name %q should be of lower case letters, digits, _ and -", first.Name)
	}
	if !regexp.MustCompile(`^v?\d+\.\d+\.\d+`).MatchString(first.Version) {
		t.Errorf("the version %q is not a semantic version", first.Version)
	}
	seen := map[string]bool{}
	for _, k := range first.Kinds {
		id := k.Kind + "/" + k.Type
		if seen[id] {
			t.Errorf("%s is offered twice", id)
		}
		seen[id] = true
		if k.Doc == "" {
			t.Logf("%s has no documentation; sdk.Doc gives it one", id)
		}
	}
	s.offer(t)
}

func describeCommandMatches(t T, s *Subject) {
	p := s.running(t)
	if p.Describe == nil {
		t.Skipf("not a process")
	}
	out, err := p.Describe(t.Context())
	if err != nil {
		t.Fatalf("describe: %v", err)
	}
	var printed client.Description
	dec := json.NewDecoder(bytes.NewReader(out))
	if err := dec.Decode(&printed); err != nil {
		t.Fatalf("describe does not print JSON: %v", err)
	}
	called, err := s.plugin(t).Describe(t.Context())
	if err != nil {
		t.Fatalf("Describe: %v", err)
	}
	a, errA := canonical(printed)
	b, errB := canonical(called)
	if err := errors.Join(errA, errB); err != nil {
		t.Fatalf("encode: %v", err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("the command and the call differ:\n%s\n%s", a, b)
	}
}

// validateCommandAnswers asks about the configuration that works, twice.
func validateCommandAnswers(t T, s *Subject) {
	p := s.running(t)
	if p.Validate == nil {
		t.Skipf("not a process")
	}
	config := s.Config
	if len(config) == 0 {
		config = json.RawMessage("{}")
	}
	question, err := json.Marshal(client.Validation{Kind: s.Kind, Type: s.Type, Configs: []json.RawMessage{config, config}})
	if err != nil {
		t.Fatalf("the configuration is not JSON: %v", err)
	}
	out, err := p.Validate(t.Context(), question)
	if err != nil {
		t.Fatalf("validate: %v", err)
	}
	var verdict client.Verdict
	if err := json.Unmarshal(out, &verdict); err != nil {
		t.Fatalf("validate does not print JSON: %v", err)
	}
	lists, err := verdict.Diagnostics()
	if err != nil {
		t.Fatalf("validate: %v", err)
	}
	if n := len(lists); n != 0 && n != 2 {
		t.Errorf("validate answers about %d configurations, asked about 2", n)
	}
	for _, l := range lists {
		if l.HasErrors() {
			t.Errorf("validate refuses the configuration that works: %v", l.Err())
		}
	}
}

// canonical encodes d so that only differences that matter show.
func canonical(d client.Description) ([]byte, error) {
	for i, k := range d.Kinds {
		slices.Sort(k.Capabilities)
		if k.Schema == nil {
			d.Kinds[i].Schema = &schema.Schema{}
		}
	}
	return json.Marshal(d)
}

func schemaIsSound(t T, s *Subject) {
	if err := s.offer(t).Schema.Check(); err != nil {
		t.Errorf("%v", err)
	}
}

func opensAndCloses(t T, s *Subject) {
	p := s.plugin(t)
	first := s.open(t)
	if err := p.Check(t.Context(), first.Instance); err != nil {
		t.Errorf("Check: %v", err)
	}
	s.closed(t, first.Instance)
	if err := p.Check(t.Context(), first.Instance); !errors.Is(err, client.ErrUnknownInstance) {
		t.Errorf("Check of a closed instance: %v; want NOT_FOUND with reason UNKNOWN_INSTANCE", err)
	}
	second := s.open(t)
	if second.Instance == first.Instance {
		t.Errorf("the id %q was used twice", first.Instance)
	}
	s.closed(t, second.Instance)
}

func reopensManyTimes(t T, s *Subject) {
	const times = 10
	for range times {
		s.closed(t, s.open(t).Instance)
	}
}

func tellsCapabilities(t T, s *Subject) {
	o := s.open(t)
	defer s.closed(t, o.Instance)
	for _, c := range s.offer(t).Capabilities {
		if !slices.Contains(o.Capabilities, c) {
			t.Errorf("the description promises %s, but the instance lacks it", c)
		}
	}
}

func refusesUnknownInstances(t T, s *Subject) {
	p := s.plugin(t)
	for _, id := range []string{"no-such-instance", strings.Repeat("x", 1<<16), "\x00"} {
		if err := p.Close(t.Context(), id); !errors.Is(err, client.ErrUnknownInstance) {
			t.Errorf("Close of %.20q: %v; want NOT_FOUND with reason UNKNOWN_INSTANCE", id, err)
		}
	}
}

func refusesUnknownTypes(t T, s *Subject) {
	req := s.request(t)
	req.Type = "no_such_type"
	if _, _, err := s.plugin(t).Open(t.Context(), req); !isClean(err) {
		t.Errorf("Open of an unknown type: %v; want an error of the plugin", err)
	}
}

// reportsBadConfiguration sends what a correct host never sends.
func reportsBadConfiguration(t T, s *Subject) {
	for _, config := range []string{`{`, `[]`, `"x"`, `7`, `{"a": }`} {
		req := s.request(t)
		req.Config = json.RawMessage(config)
		opened, _, err := s.plugin(t).Open(t.Context(), req)
		if err == nil {
			s.closed(t, opened.Instance)
		}
		if !isClean(err) {
			t.Errorf("Open with the configuration %s: %v; want an error of the plugin", config, err)
		}
	}
}

// survivesUnknownArguments sends an argument that is not in the schema: the
// plugin may ignore it, or report it at its path.
func survivesUnknownArguments(t T, s *Subject) {
	const name = "sluice_no_such_argument"
	config := map[string]json.RawMessage{}
	if len(s.Config) > 0 {
		if err := json.Unmarshal(s.Config, &config); err != nil {
			t.Fatalf("the configuration is not a JSON object: %v", err)
		}
	}
	config[name] = json.RawMessage("true")
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	req := s.request(t)
	req.Config = raw
	opened, _, err := s.plugin(t).Open(t.Context(), req)
	if err == nil {
		s.closed(t, opened.Instance)
		return
	}
	list, ok := diag.From(err)
	if !ok || !slices.ContainsFunc(list, func(d diag.Diagnostic) bool { return d.Path.String() == name }) {
		t.Errorf("Open with an unknown argument: %v; want success, or a diagnostic at its path", err)
	}
}

// ignoresUnknownFields sends messages of a newer protocol.
func ignoresUnknownFields(t T, s *Subject) {
	rpc := pb.NewPluginClient(s.running(t).Conn)
	req := s.request(t)
	open := &pb.OpenRequest{
		Kind: req.Kind, Type: req.Type, Name: req.Name, ConfigJson: req.Config,
		Dir: req.Dir, HostServices: req.HostServices,
	}
	grease(open)
	resp, err := rpc.Open(t.Context(), open)
	if err != nil {
		t.Fatalf("Open with an unknown field: %v", err)
	}
	describe := &pb.DescribeRequest{}
	grease(describe)
	if _, err := rpc.Describe(t.Context(), describe); err != nil {
		t.Errorf("Describe with an unknown field: %v", err)
	}
	s.closed(t, resp.GetInstance())
}

// grease adds a field to m that no version of the protocol has.
func grease(m proto.Message) {
	const number = 18999
	b := protowire.AppendTag(nil, number, protowire.BytesType)
	m.ProtoReflect().SetUnknown(protowire.AppendBytes(b, []byte("grease")))
}

func opensConcurrently(t T, s *Subject) {
	const many = 8
	var wg sync.WaitGroup
	p := s.plugin(t)
	for range many {
		req := s.request(t)
		wg.Go(func() {
			opened, _, err := p.Open(t.Context(), req)
			if err != nil {
				t.Errorf("Open: %v", err)
				return
			}
			if err := p.Check(t.Context(), opened.Instance); err != nil {
				t.Errorf("Check: %v", err)
			}
			if err := p.Close(t.Context(), opened.Instance); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	wg.Wait()
}

// survivesSignals sends what a terminal sends to the whole process group: the
// host decides when its plugins end.
func survivesSignals(t T, s *Subject) {
	p := s.running(t)
	if p.Signal == nil {
		t.Skipf("not a process")
	}
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		if err := p.Signal(sig); err != nil {
			t.Fatalf("send %v: %v", sig, err)
		}
		// A second round trip is answered by a process that has handled it.
		for range 2 {
			if err := s.plugin(t).Check(t.Context(), ""); err != nil {
				t.Fatalf("after %v: %v", sig, err)
			}
		}
	}
}

func keepsStdoutClean(t T, s *Subject) {
	p := s.running(t)
	if p.Stdout == nil {
		t.Skipf("not a process")
	}
	if out := p.Stdout(); out != "" {
		t.Errorf("standard output belongs to the protocol, but the plugin printed %.200q", out)
	}
}

func keepsSecretsOutOfTheLog(t T, s *Subject) {
	p := s.running(t)
	secrets := s.secrets(t)
	if len(secrets) == 0 {
		t.Skipf("the configuration holds no sensitive value of six characters or more")
	}
	s.closed(t, s.open(t).Instance)
	log := p.Log()
	for i, secret := range secrets {
		if strings.Contains(log, secret) {
			t.Errorf("sensitive value number %d of the configuration is in the log", i+1)
		}
	}
}

func stopsWhenAsked(t T, s *Subject) {
	s.running(t)
	s.open(t) // left open: the host does not always get to close
	if err := s.Close(); err != nil {
		t.Errorf("%v", err)
	}
}

func exitsWithItsHost(t T, s *Subject) {
	p := s.running(t)
	if p.Abandon == nil {
		t.Skipf("not a process with a lifeline")
	}
	s.open(t)
	s.process = nil // it is about to end
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := p.Abandon(ctx); err != nil {
		t.Errorf("the plugin outlives its host: %v", err)
	}
}
