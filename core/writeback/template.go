package writeback

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

// maxMessage bounds a message, in bytes.
const maxMessage = 64 << 10

// MessageData is what the template of an image_automation's message gets. Texts
// from manifests hold no line ends or control characters.
type MessageData struct {
	Changes []MessageChange // sorted by workload and container
	Images  []string        // the new references, sorted, each once
	User    string          // who asked for it; "" for automation
	Cause   string          // "automation"
	Sync    string          // addresses of syncs, sorted, joined by ", "
	Source  string          // address
	Branch  string          // "" is the one that is read
}

// MessageChange is one place that changes.
type MessageChange struct {
	Workload  string // "namespace:kind/name"; "" for a marker or a kustomization
	Container string
	From      string // the former reference, "" if unknown
	To        string // the new one
	File      string // relative to the source's root
	Sync      string // address
}

// ParseMessage tells whether text is a template that works, by executing it on
// made-up data.
func ParseMessage(text string) error {
	_, err := Execute(text, MessageData{
		Changes: []MessageChange{{Workload: "shop:deployment/web", Container: "web", From: "web:1", To: "web:2", File: "web.yaml", Sync: "sync.shop"}},
		Images:  []string{"web:2"}, Cause: Automation, Sync: "sync.shop", Source: "source.git.shop",
	})
	return err
}

// Execute makes a message of a template.
func Execute(text string, data MessageData) (string, error) {
	t, err := template.New("message").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var b limited
	if err := t.Execute(&b, data); err != nil {
		return "", knownFields(err)
	}
	message := strings.TrimSpace(b.String())
	if message == "" {
		return "", errors.New("template: message: the result is empty")
	}
	return message, nil
}

// noField is how a template says that a field is unknown.
var noField = regexp.MustCompile(`can't evaluate field (\w+) in type .*\b(Message(?:Data|Change))\b`)

// knownFields names the fields there are, if err is that one is unknown.
func knownFields(err error) error {
	m := noField.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	whose, fields := "the message", reflect.TypeFor[MessageData]()
	if m[2] != fields.Name() {
		whose, fields = "a change", reflect.TypeFor[MessageChange]()
	}
	var known []string
	for f := range fields.NumField() {
		known = append(known, "."+fields.Field(f).Name)
	}
	return fmt.Errorf("%s has no field .%s; known: %s", whose, m[1], strings.Join(known, ", "))
}

// limited refuses to grow beyond a message.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxMessage {
		return 0, fmt.Errorf("longer than %d bytes", maxMessage)
	}
	return l.Buffer.Write(p)
}

// data is what the template of p gets.
func (p *part) data(l lane) MessageData {
	d := MessageData{Images: p.images(), Cause: p.kind, Source: l.source, Branch: l.branch}
	var users, syncs []string
	for n := range d.Images {
		d.Images[n] = oneLine(d.Images[n])
	}
	for _, i := range p.items {
		users, syncs = append(users, oneLine(i.change.Cause.User)), append(syncs, i.change.Sync)
		for n, e := range i.change.Edits {
			if e.Image == "" || len(i.edits[n]) == 0 {
				continue
			}
			d.Changes = append(d.Changes, MessageChange{
				Workload: oneLine(e.Workload), Container: oneLine(e.Container), From: oneLine(i.change.From(n)), To: oneLine(e.Image),
				File: oneLine(i.edits[n][0]), Sync: i.change.Sync,
			})
		}
	}
	slices.SortStableFunc(d.Changes, func(a, b MessageChange) int {
		return cmp.Or(strings.Compare(a.Workload, b.Workload), strings.Compare(a.Container, b.Container), strings.Compare(a.File, b.File))
	})
	d.User, d.Sync = strings.Join(named(users), ", "), strings.Join(named(syncs), ", ")
	return d
}
