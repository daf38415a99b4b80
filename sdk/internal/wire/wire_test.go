package wire

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/plug"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/schema"
	"github.com/sluice-gitops/sluice/sdk/secret"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// roundTrips holds every pair of conversions: each takes a generator, sends
// one value through the wire's encoding and compares.
var roundTrips = map[string]func(*testing.T, *generator){
	"diagnostic":      trip(sure(DiagnosticToProto), DiagnosticFromProto),
	"description":     trip(DescriptionToProto, DescriptionFromProto),
	"revision":        trip(sure(RevisionToProto), sure(RevisionFromProto)),
	"entry":           trip(sure(EntryToProto), sure(EntryFromProto)),
	"change":          trip(sure(ChangeToProto), sure(ChangeFromProto)),
	"ref":             trip(sure(RefToProto), sure(RefFromProto)),
	"set":             trip(sure(SetToProto), sure(SetFromProto)),
	"deletion":        trip(sure(DeletionToProto), sure(DeletionFromProto)),
	"planned":         trip(PlannedToProto, PlannedFromProto),
	"result":          trip(ResultToProto, ResultFromProto),
	"summary":         trip(sure(SummaryToProto), sure(SummaryFromProto)),
	"status":          trip(StatusToProto, StatusFromProto),
	"workload":        trip(WorkloadToProto, WorkloadFromProto),
	"workloads":       trip(sure(WorkloadFilterToProto), sure(WorkloadFilterFromProto)),
	"resource":        trip(sure(ResourceToProto), sure(ResourceFromProto)),
	"resource filter": trip(sure(ResourceFilterToProto), sure(ResourceFilterFromProto)),
	"resource patch":  trip(sure(ResourcePatchToProto), sure(ResourcePatchFromProto)),
	"resource event":  trip(sure(ResourceEventToProto), sure(ResourceEventFromProto)),
	"config ref":      trip(sure(ConfigRefToProto), sure(ConfigRefFromProto)),
	"render":          trip(sure(RenderToProto), sure(RenderFromProto)),
	"render result":   trip(sure(RenderResultToProto), RenderResultFromProto),
	"update":          trip(sure(UpdateToProto), sure(UpdateFromProto)),
	"update result":   trip(sure(UpdateResultToProto), sure(UpdateResultFromProto)),
	"secret ref":      trip(sure(SecretRefToProto), sure(SecretRefFromProto)),
	"request":         trip(sure(RequestToProto), sure(RequestFromProto[*pb.CredentialRequest])),
	"tags":            trip(sure(TagsToProto), sure(RequestFromProto[*pb.TagsRequest])),
	"credential":      trip(CredentialToProto, CredentialFromProto),
	"tag":             trip(sure(TagToProto), sure(TagFromProto)),
	"chart ref":       trip(sure(ChartRefToProto), sure(ChartRefFromProto)),
	"chart":           trip(sure(ChartToProto), sure(ChartFromProto)),
	"release":         trip(sure(ReleaseToProto), sure(ReleaseFromProto)),
	"rendered":        trip(sure(RenderedToProto), sure(RenderedFromProto)),
	"release change":  trip(sure(ReleaseChangeToProto), sure(ReleaseChangeFromProto)),
	"release event":   trip(sure(ReleaseEventToProto), sure(ReleaseEventFromProto)),
	"release rev":     trip(sure(ReleaseRevisionToProto), sure(ReleaseRevisionFromProto)),
	"rollback":        trip(sure(RollbackToProto), sure(RollbackFromProto)),
	"uninstall":       trip(sure(UninstallToProto), sure(UninstallFromProto)),
	"test":            trip(sure(TestToProto), sure(TestFromProto)),
	"comparison":      trip(sure(ComparisonToProto), sure(ComparisonFromProto)),
	"content":         trip(sure(ContentToProto), sure(ContentFromProto)),
	"host credential": trip(sure(HostCredentialToProto), sure(HostCredentialFromProto)),
	"host read":       trip(sure(HostReadToProto), sure(HostReadFromProto)),
	"host event":      trip(sure(HostEventToProto), sure(HostEventFromProto)),
}

func TestRoundTrip(t *testing.T) {
	for name, check := range roundTrips {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(50) {
				check(t, newGenerator(seed))
			}
		})
	}
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		for _, check := range roundTrips {
			check(t, newGenerator(seed))
		}
	})
}

// sure fits conversions that cannot fail to those that can.
func sure[A, B any](convert func(A) B) func(A) (B, error) {
	return func(a A) (B, error) { return convert(a), nil }
}

func trip[G any, P proto.Message](encode func(G) (P, error), decode func(P) (G, error)) func(*testing.T, *generator) {
	return func(t *testing.T, g *generator) {
		var want G
		g.fill(reflect.ValueOf(&want).Elem(), 0)
		p, err := encode(want)
		if err != nil {
			t.Fatalf("encode %+v: %v", want, err)
		}
		wire, err := proto.Marshal(p)
		if err != nil {
			t.Fatalf("marshal %+v: %v", want, err)
		}
		back := p.ProtoReflect().New().Interface().(P)
		if err := proto.Unmarshal(wire, back); err != nil {
			t.Fatal(err)
		}
		got, err := decode(back)
		if err != nil {
			t.Fatalf("decode %+v: %v", want, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.AllowUnexported(secret.Secret{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// generator fills values at random, always the same for a seed. Every field
// of every struct has a chance to be set, so that one that a conversion
// forgets is found.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) *generator { return &generator{rand.New(rand.NewPCG(seed, 7))} }

// words are the values of enumerations, by type.
var words = map[reflect.Type][]string{
	reflect.TypeFor[applier.Action]():  keys(actions.toProto),
	reflect.TypeFor[applier.Outcome](): keys(outcomes.toProto),
	reflect.TypeFor[applier.Health]():  keys(healths.toProto),
	reflect.TypeFor[applier.Phase]():   keys(phases.toProto),
	reflect.TypeFor[registry.Scope]():  keys(scopes.toProto),
	reflect.TypeFor[schema.Nesting]():  keys(nestings.toProto),
	reflect.TypeFor[schema.Format]():   {"duration", "bytes", ""},
}

func keys[G ~string, P any](m map[G]P) []string {
	var out []string
	for g := range m {
		out = append(out, string(g))
	}
	slices.Sort(out)
	return out
}

func (g *generator) fill(v reflect.Value, depth int) {
	switch v.Type() {
	case reflect.TypeFor[time.Time]():
		if g.IntN(4) > 0 {
			v.Set(reflect.ValueOf(time.Unix(g.Int64N(1<<33), g.Int64N(1e9)).UTC()))
		}
		return
	case reflect.TypeFor[secret.Secret]():
		v.Set(reflect.ValueOf(secret.New(g.text() + string([]byte{0xff, byte(g.IntN(256))}))))
		return
	case reflect.TypeFor[diag.Severity]():
		v.SetInt(g.Int64N(2))
		return
	case reflect.TypeFor[diag.Step]():
		if g.IntN(2) == 0 {
			v.Set(reflect.ValueOf(diag.Step{Index: g.IntN(9)}))
		} else {
			v.Set(reflect.ValueOf(diag.Step{Name: "n" + g.text()}))
		}
		return
	case reflect.TypeFor[schema.Type]():
		v.Set(reflect.ValueOf(g.schemaType(depth)))
		return
	}
	if list, ok := words[v.Type()]; ok {
		v.SetString(list[g.IntN(len(list))])
		return
	}
	g.fillKind(v, depth)
}

func (g *generator) fillKind(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(g.text())
	case reflect.Bool:
		v.SetBool(g.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(g.Int32()))
	case reflect.Uint8:
		v.SetUint(g.Uint64N(256))
	case reflect.Struct:
		for i := range v.NumField() {
			g.fill(v.Field(i), depth+1)
		}
	case reflect.Pointer:
		if v.Type() == reflect.TypeFor[*schema.Schema]() || (depth < 6 && g.IntN(2) == 0) {
			v.Set(reflect.New(v.Type().Elem()))
			g.fill(v.Elem(), depth+1)
		}
	case reflect.Slice:
		n := g.IntN(3)
		if depth > 6 {
			n = 0
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			g.fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range g.IntN(3) {
			elem := reflect.New(v.Type().Elem()).Elem()
			g.fill(elem, depth+1)
			v.SetMapIndex(reflect.ValueOf(g.text()), elem)
		}
	default:
		panic(fmt.Sprintf("generator: no idea how to fill %s", v.Type()))
	}
}

func (g *generator) schemaType(depth int) schema.Type {
	kinds := []schema.Kind{schema.String, schema.Number, schema.Bool, schema.Any, schema.ListOf, schema.MapOf, schema.Object}
	if depth > 6 {
		kinds = kinds[:4]
	}
	t := schema.Type{Kind: kinds[g.IntN(len(kinds))]}
	switch t.Kind {
	case schema.ListOf, schema.MapOf:
		elem := g.schemaType(depth + 1)
		t.Elem = &elem
	case schema.Object:
		t.Fields = []schema.Field{{Name: g.text(), Type: g.schemaType(depth + 1), Optional: g.IntN(2) == 0}}
	}
	return t
}

func (g *generator) text() string {
	samples := []string{"", "a", "größe", "a b\nc", "日本", strings.Repeat("x", 300), `"quoted" <tag>`}
	return samples[g.IntN(len(samples))]
}

func TestEditsKeepAbsentAndEmptyApart(t *testing.T) {
	want := source.Change{Edits: []source.Edit{
		{Path: "new", Old: nil, New: []byte{}},
		{Path: "gone", Old: []byte{}, New: nil},
		{Path: "both", Old: []byte("a"), New: []byte{0xff}},
	}}
	b, err := proto.Marshal(ChangeToProto(want))
	if err != nil {
		t.Fatal(err)
	}
	var p pb.CommitRequest
	if err := proto.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, ChangeFromProto(&p)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHostWrite(t *testing.T) {
	ref, value := host.SecretRef{Applier: "a", Namespace: "n", Name: "m", Key: "k"}, secret.New("\xff\x00")
	gotRef, gotValue := HostWriteFromProto(HostWriteToProto(ref, value))
	if gotRef != ref || gotValue != value {
		t.Errorf("got %v, %q", gotRef, gotValue.Reveal())
	}
}

// Every enumeration of the protocol must have a Go value for each of its
// values but the unspecified one, and refuse the rest.
func TestEnumsAreComplete(t *testing.T) {
	checkEnum(t, severities, pb.Severity_name)
	checkEnum(t, nestings, pb.Nesting_name)
	checkEnum(t, typeKinds, pb.TypeKind_name)
	checkEnum(t, actions, pb.Action_name)
	checkEnum(t, outcomes, pb.Outcome_name)
	checkEnum(t, healths, pb.Health_name)
	checkEnum(t, scopes, pb.Scope_name)
}

func checkEnum[G comparable, P ~int32](t *testing.T, e enum[G, P], names map[int32]string) {
	t.Helper()
	for number, name := range names {
		_, err := e.decode(P(number))
		if unspecified := number == 0; unspecified != (err != nil) {
			t.Errorf("%s: decode says %v", name, err)
		}
	}
	if _, err := e.decode(P(9999)); err == nil {
		t.Errorf("%s: 9999 is accepted", e.name)
	}
	if len(e.toGo) != len(e.toProto) {
		t.Errorf("%s: two Go values for one on the wire", e.name)
	}
}

func TestUnknownGoValuesAreRefused(t *testing.T) {
	for name, encode := range map[string]func() error{
		"action":  func() error { _, err := PlannedToProto(applier.Change{Action: "explode"}); return err },
		"outcome": func() error { _, err := ResultToProto(applier.Result{}); return err },
		"health":  func() error { _, err := StatusToProto(applier.ObjectStatus{Health: "fine"}); return err },
		"scope":   func() error { _, err := CredentialToProto(registry.Credential{Scope: "galaxy"}); return err },
	} {
		if encode() == nil {
			t.Errorf("%s: an unknown value is accepted", name)
		}
	}
}

func TestInvalidTextIsRepaired(t *testing.T) {
	p := RevisionToProto(source.Revision{ID: "x", Message: "caf\xe9", Labels: map[string]string{"\xff": "\xfe"}})
	if _, err := proto.Marshal(p); err != nil {
		t.Errorf("the wire refuses it: %v", err)
	}
	if p.Message != "caf\uFFFD" {
		t.Errorf("message %q", p.Message)
	}
}

// No message, however mutilated, may make a conversion panic.
func FuzzFromProto(f *testing.F) {
	seed, err := DescriptionToProto(plug.Description{Name: "n", Kinds: []plug.KindDescription{{Schema: &schema.Schema{
		Attributes: []schema.Attribute{{Name: "a", Type: schema.Type{Kind: schema.ListOf, Elem: &schema.Type{Kind: schema.Any}}}},
		Blocks:     []schema.Block{{Name: "b", Nesting: schema.Single}},
	}}}})
	if err != nil {
		f.Fatal(err)
	}
	b, err := proto.Marshal(seed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		decodeAny(b, DescriptionFromProto)
		decodeAny(b, DiagnosticFromProto)
		decodeAny(b, sure(ChangeFromProto))
		decodeAny(b, PlannedFromProto)
		decodeAny(b, ResultFromProto)
		decodeAny(b, WorkloadFromProto)
		decodeAny(b, CredentialFromProto)
		decodeAny(b, sure(RequestFromProto[*pb.CredentialRequest]))
		decodeAny(b, sure(SetFromProto))
		decodeAny(b, sure(DeletionFromProto))
		decodeAny(b, sure(ReleaseFromProto))
		decodeAny(b, sure(ChartFromProto))
		decodeAny(b, RenderResultFromProto)
		decodeAny(b, sure(UpdateFromProto))
		decodeAny(b, sure(UpdateResultFromProto))
	})
}

func decodeAny[P proto.Message, G any](b []byte, decode func(P) (G, error)) {
	var zero P
	p := zero.ProtoReflect().New().Interface().(P)
	if proto.Unmarshal(b, p) == nil {
		_, _ = decode(p)
	}
	_, _ = decode(zero) // a missing message
}
