package releases

import (
	"encoding/json"
	"strings"
	"testing"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

func TestPointer(t *testing.T) {
	const object = `{"a/b":{"c~d":1},"list":[{"x":1,"y":2},"z"],"name":"n"}`
	for _, c := range []struct{ text, got, set, removed string }{
		{"/a~1b/c~0d", `1`, `{"a/b":{"c~d":0},"list":[{"x":1,"y":2},"z"],"name":"n"}`, `{"a/b":{},"list":[{"x":1,"y":2},"z"],"name":"n"}`},
		{"/list/0/x", `1`, `{"a/b":{"c~d":1},"list":[{"x":0,"y":2},"z"],"name":"n"}`, `{"a/b":{"c~d":1},"list":[{"y":2},"z"],"name":"n"}`},
		{"/list/0", `{"x":1,"y":2}`, `{"a/b":{"c~d":1},"list":[0,"z"],"name":"n"}`, `{"a/b":{"c~d":1},"list":["z"],"name":"n"}`},
		{"/list", `[{"x":1,"y":2},"z"]`, `{"a/b":{"c~d":1},"list":0,"name":"n"}`, `{"a/b":{"c~d":1},"name":"n"}`},
		{"/list/2", ``, object, object},
		{"/list/-1", ``, object, object},
		{"/list/first", ``, object, object},
		{"/name/x", ``, object, object},
		{"/none/x", ``, object, object},
	} {
		p := parsePointer(c.text)
		value, ok := p.get(parsed(t, object))
		if ok != (c.got != "") || ok && written(t, value) != c.got {
			t.Errorf("%s: got %v, %v", c.text, value, ok)
		}
		set, removed := parsed(t, object), parsed(t, object)
		p.set(set, 0)
		p.remove(removed)
		if got := written(t, set); got != c.set {
			t.Errorf("%s: set %s", c.text, got)
		}
		if got := written(t, removed); got != c.removed {
			t.Errorf("%s: removed %s", c.text, got)
		}
	}
}

func TestPointerInFields(t *testing.T) {
	const fields = `{"f:spec":{"f:replicas":{},"f:template":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:image":{}}}}},"f:data":{".":{},"f:a":{}}}`
	var set fieldpath.Set
	if err := set.FromJSON(strings.NewReader(fields)); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"/spec/replicas": true, "/spec": true, "/spec/template/containers/0/image": true, "/data/a": true, "/data": true,
		"/spec/paused": false, "/data/b": false, "/metadata/labels": false,
	} {
		if got := parsePointer(text).in(&set); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func parsed(t *testing.T, text string) (value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func written(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
