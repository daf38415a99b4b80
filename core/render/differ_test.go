package render

import "testing"

func TestHowDiffer(t *testing.T) {
	const have = `{"metadata":{"name":"web","annotations":{"a":"b"}},"spec":{"containers":[{"image":"x:1"}]}}`
	for want, text := range map[string]string{
		`{"metadata":{"name":"web","annotations":{"a":"b","sluice.dev/locked":"true"}},"spec":{"containers":[{"image":"x:1"}]}}`: "would lack metadata.annotations.sluice.dev/locked",
		`{"metadata":{"name":"web","annotations":{"a":"b"}},"spec":{"containers":[{"image":"x:2"}]}}`:                            "would have another spec.containers.0.image",
		`{"metadata":{"name":"web"},"spec":{"containers":[{"image":"x:1"}]}}`:                                                    "would have metadata.annotations, which is not wanted",
		`[]`: "would not be as it should",
	} {
		if got := howDiffer([]byte(want), []byte(have)); got != text {
			t.Errorf("%s: %q, want %q", want, got, text)
		}
	}
}
