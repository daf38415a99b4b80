package process

import "testing"

func TestParseStat(t *testing.T) {
	const rest = " 1 42 42 0 -1 4194560 100 0 0 0 1 2 3 4 20 0 7 0 987654 1000 50 18446744073709551615"
	for _, test := range []struct {
		name, stat string
		want       procStat
		ok, ended  bool
	}{
		{"plain", "42 (etcd) S" + rest, procStat{"S", "7", "987654"}, true, false},
		{"a name like fields", "42 (a) Z 1 (b) R" + rest, procStat{"R", "7", "987654"}, true, false},
		{"zombie with threads", "42 (etcd) Z" + rest, procStat{"Z", "7", "987654"}, true, false},
		{"zombie", "42 (etcd) Z 1 42 42 0 -1 0 0 0 0 0 1 2 3 4 20 0 1 0 987654 0", procStat{"Z", "1", "987654"}, true, true},
		{"cut off", "42 (etcd) S 1 42", procStat{}, false, false},
		{"empty", "", procStat{}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := parseStat([]byte(test.stat))
			if got != test.want || ok != test.ok || got.ended() != test.ended {
				t.Errorf("parseStat = %+v, %v, ended %v", got, ok, got.ended())
			}
		})
	}
}
