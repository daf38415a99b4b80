package pluginhost

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	b := backoff{min: time.Second, max: 2 * time.Minute, reset: 10 * time.Minute}
	near := func(healthy, want time.Duration) {
		t.Helper()
		got := b.next(healthy)
		if got < want*8/10 || got > want*12/10 {
			t.Errorf("pause of %s, want %s within 20 %%", got, want)
		}
	}
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 120, 120} {
		near(time.Minute, want*time.Second)
	}
	for range 100 {
		near(0, 2*time.Minute)
	}
	near(10*time.Minute, time.Second)
	near(0, 2*time.Second)
}
