package gate

import (
	"fmt"
	"testing"
	"time"
)

func TestBrake(t *testing.T) {
	dir := t.TempDir()
	k, end := open(t, dir)
	wrote := func(k *Keeper, subject, from, to string, at time.Time) {
		t.Helper()
		if err := k.Wrote(Written{Subject: subject, From: from, To: to, At: at}); err != nil {
			t.Fatal(err)
		}
	}
	wrote(k, "shop web", "web:1", "web:2", start)
	end()
	k, end = open(t, dir)
	defer end()
	for _, tc := range []struct {
		subject, image string
		at             time.Time
		held           bool
	}{
		{"shop web", "web:1", after(time.Minute), true}, // back to what it was
		{"shop web", "web:2", after(time.Minute), true}, // again, since somebody else wrote it back
		{"shop web", "web:3", after(time.Minute), false},
		{"shop api", "web:1", after(time.Minute), false},
		{"shop web", "web:1", after(BrakeTime), false},
	} {
		if at, held := k.LastWritten(tc.subject, tc.image, tc.at); held != tc.held || held && !at.Equal(start) {
			t.Errorf("%s %s at %s: %v, %v", tc.subject, tc.image, tc.at, at, held)
		}
	}

	for i := range 3 * maxWritings {
		wrote(k, "shop web", "", fmt.Sprint("web:", 10+i), after(2*time.Minute))
	}
	if n := len(k.written["shop web"]); n != maxWritings {
		t.Errorf("%d images of one subject are remembered, want %d", n, maxWritings)
	}
	for i := range 100 {
		wrote(k, fmt.Sprint("shop w", i), "w:1", "w:2", after(3*time.Minute))
	}
	if err := k.ForgetWritten(func(image string) bool { return image == "w:2" }); err != nil {
		t.Fatal(err)
	}
	if _, held := k.LastWritten("shop w7", "w:2", after(4*time.Minute)); held {
		t.Error("what a person has lifted is held")
	}
	if _, held := k.LastWritten("shop w7", "w:1", after(4*time.Minute)); !held {
		t.Error("what nobody has lifted is not held")
	}
	wrote(k, "shop api", "api:1", "api:2", after(3*BrakeTime))
	if n := len(k.written); n != 1 {
		t.Errorf("%d subjects are remembered, want 1", n)
	}
	if ids, err := writingRecords.IDs(k.store); err != nil || len(ids) != 1 {
		t.Errorf("%q, %v on disk", ids, err)
	}
}
