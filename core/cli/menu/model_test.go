package menu

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rows is a table of which the first and the fourth row can only be seen.
func rows() []Row {
	return []Row{
		{Text: "shop:deployment/db   skipped"},
		{Text: "shop:deployment/web  web: 1 -> 2", Choice: true, Chosen: true},
		{Text: "shop:deployment/api  api: 1 -> 3", Choice: true, Chosen: true},
		{Text: "shop:deployment/old  failed"},
		{Text: "shop:deployment/zoo  zoo: 1 -> 9", Choice: true},
	}
}

// typed presses all keys of input, and returns the last one that ends the menu.
func typed(t *testing.T, m *model, input string) key {
	t.Helper()
	for rest := []byte(input); len(rest) > 0; {
		k, n := parseKey(rest)
		if n == 0 {
			t.Fatalf("the keys %q end in the middle", input)
		}
		rest = rest[n:]
		if k == commit || k == abort {
			return k
		}
		m.press(k)
	}
	return other
}

func TestKeys(t *testing.T) {
	for name, tt := range map[string]struct {
		keys   string
		chosen []int
		end    key
	}{
		"enter takes what is chosen":          {"\r", []int{1, 2}, commit},
		"a line feed is enter":                {"\n", []int{1, 2}, commit},
		"space toggles the first choice":      {" \r", []int{2}, commit},
		"twice is as before":                  {"  \r", []int{1, 2}, commit},
		"j moves":                             {"j \r", []int{1}, commit},
		"tab moves":                           {"\t \r", []int{1}, commit},
		"an arrow moves":                      {"\x1b[B \r", []int{1}, commit},
		"an arrow of application mode":        {"\x1bOB \r", []int{1}, commit},
		"what is only shown is passed over":   {"jj \r", []int{1, 2, 4}, commit},
		"there is nothing below the last":     {"jjjjjj \r", []int{1, 2, 4}, commit},
		"k moves back":                        {"jjk \r", []int{1}, commit},
		"shift-tab moves back":                {"jj\x1b[Z \r", []int{1}, commit},
		"there is nothing above the first":    {"kkk \r", []int{2}, commit},
		"q aborts":                            {"jq", nil, abort},
		"ctrl-c aborts":                       {"\x03", nil, abort},
		"other keys do nothing":               {"xé\x1b[5~\x1b[1;5C\x1b[H \r", []int{2}, commit},
		"escape aborts, whatever comes after": {"\x1bj", nil, abort},
	} {
		t.Run(name, func(t *testing.T) {
			m, ok := newModel(Options{Rows: rows()})
			if !ok {
				t.Fatal("nothing to choose")
			}
			if end := typed(t, m, tt.keys); end != tt.end {
				t.Errorf("ends with %v, want %v", end, tt.end)
			}
			if got := m.chosen(); tt.end == commit && !slices.Equal(got, tt.chosen) {
				t.Errorf("chosen %v, want %v", got, tt.chosen)
			}
		})
	}
}

func TestKeysInPieces(t *testing.T) {
	for _, part := range []string{"", "\x1b", "\x1b[", "\x1b[1;", "\x1bO"} {
		if k, n := parseKey([]byte(part)); n != 0 {
			t.Errorf("%q is taken for key %v before it is complete", part, k)
		}
	}
}

func TestView(t *testing.T) {
	m, _ := newModel(Options{Header: "WORKLOAD             UPDATES", Help: "releases", Rows: rows()})
	typed(t, m, "j ")
	want := `
      WORKLOAD             UPDATES
      shop:deployment/db   skipped
  [x] shop:deployment/web  web: 1 -> 2
> [ ] shop:deployment/api  api: 1 -> 3
      shop:deployment/old  failed
  [ ] shop:deployment/zoo  zoo: 1 -> 9

1 chosen; space toggles, enter releases, q aborts`
	if diff := cmp.Diff(want, "\n"+strings.Join(m.view(80, 24), "\n")); diff != "" {
		t.Error(diff)
	}
	for _, line := range m.view(20, 24) {
		if n := len([]rune(line)); n > 20 {
			t.Errorf("%q is %d wide", line, n)
		}
	}
}

// TestViewScrolls: on a low terminal the row under the cursor is always there.
func TestViewScrolls(t *testing.T) {
	var many []Row
	for i := range 100 {
		many = append(many, Row{Text: fmt.Sprint("row ", i), Choice: true})
	}
	m, _ := newModel(Options{Rows: many})
	check := func() {
		t.Helper()
		lines := m.view(80, 10)
		if len(lines) > 10 {
			t.Fatalf("%d lines on a terminal with 10", len(lines))
		}
		if want := fmt.Sprintf("> [ ] row %d", m.cursor); !slices.Contains(lines, want) {
			t.Fatalf("no %q in %q", want, lines)
		}
	}
	for range 99 {
		m.press(down)
		check()
	}
	if last := m.view(80, 10); !strings.Contains(last[len(last)-1], "rows 95 to 100 of 100") {
		t.Errorf("%q", last)
	}
	for range 99 {
		m.press(up)
		check()
	}
	m.view(1, 1) // as small as it gets
}

func TestNothingToChoose(t *testing.T) {
	if _, err := Choose(t.Context(), Options{Rows: []Row{{Text: "skipped"}}}); err == nil {
		t.Error("a menu without a choice")
	}
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte("jk \t\x1b[A\x1b[Z\r"))
	f.Add([]byte("\x1b[\x1b[1;5~q"))
	f.Fuzz(func(t *testing.T, input []byte) {
		m, _ := newModel(Options{Rows: rows()})
		for len(input) > 0 {
			k, n := parseKey(input)
			if n == 0 {
				return
			}
			input = input[n:]
			m.press(k)
			if !m.rows[m.cursor].Choice {
				t.Fatalf("the cursor is on row %d", m.cursor)
			}
		}
	})
}
