package update

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// PolicyChange is what a person wants of the policies of workloads.
type PolicyChange struct {
	Automate   bool `json:"automate,omitempty"`
	Deautomate bool `json:"deautomate,omitempty"`
	Lock       bool `json:"lock,omitempty"`
	Unlock     bool `json:"unlock,omitempty"` // removes who locked it and why, too

	LockUser    string `json:"lock_user,omitempty"`    // with Lock
	LockMessage string `json:"lock_message,omitempty"` // with Lock

	// TagAll is a pattern for every container, Tags are patterns by container
	// and count more. The patterns "*" and "glob:*", which take everything,
	// remove the annotation.
	TagAll string            `json:"tag_all,omitempty"`
	Tags   map[string]string `json:"tags,omitempty"`
}

// String says in one line what is to change.
func (c PolicyChange) String() string {
	var words []string
	for _, flag := range []struct {
		on   bool
		word string
	}{{c.Automate, "automate"}, {c.Deautomate, "deautomate"}, {c.Lock, "lock"}, {c.Unlock, "unlock"}} {
		if flag.on {
			words = append(words, flag.word)
		}
	}
	if c.TagAll != "" {
		words = append(words, "tag_all="+c.TagAll)
	}
	for _, container := range slices.Sorted(maps.Keys(c.Tags)) {
		words = append(words, "tag."+container+"="+c.Tags[container])
	}
	return strings.Join(words, ", ")
}

// Describe says in one line which policies an edit of Policies sets and removes,
// without the prefixes of their annotations.
func Describe(e edit.Edit) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(e.Set)) {
		word := unprefixed(key)
		if value := e.Set[key]; value != "true" {
			word += ": " + value
		}
		words = append(words, word)
	}
	var gone []string
	for _, key := range e.Remove {
		gone = append(gone, unprefixed(key)+" removed")
	}
	slices.Sort(gone) // one policy may have been there under several prefixes
	return strings.Join(append(words, slices.Compact(gone)...), ", ")
}

func unprefixed(key string) string {
	_, name, _ := strings.Cut(key, "/")
	if strings.HasPrefix(key, "filter.") {
		return "tag." + name
	}
	return name
}

// everything is how the command line writes policy.Default.
const everything = "*"

// Validate tells what is contradictory or missing in the change, and which of
// its patterns are not valid.
func (c PolicyChange) Validate() error {
	switch {
	case c.Automate && c.Deautomate:
		return errors.New("policy: automate and deautomate contradict each other")
	case c.Lock && c.Unlock:
		return errors.New("policy: lock and unlock contradict each other")
	case !c.Lock && (c.LockUser != "" || c.LockMessage != ""):
		return errors.New("policy: a user or message of a lock needs a lock")
	case !c.Automate && !c.Deautomate && !c.Lock && !c.Unlock && c.TagAll == "" && len(c.Tags) == 0:
		return errors.New("policy: nothing to change")
	}
	if c.TagAll != "" {
		if err := validPattern("all containers", c.TagAll); err != nil {
			return err
		}
	}
	for _, container := range slices.Sorted(maps.Keys(c.Tags)) {
		if container == "" {
			return errors.New("policy: a pattern for a container without a name")
		}
		if err := validPattern("container "+container, c.Tags[container]); err != nil {
			return err
		}
	}
	return nil
}

func validPattern(of, pattern string) error {
	if takesAll(pattern) {
		return nil
	}
	if _, err := policy.Parse(pattern); err != nil {
		return fmt.Errorf("invalid tag pattern of %s: %w", of, err)
	}
	return nil
}

func takesAll(pattern string) bool { return pattern == everything || pattern == policy.Default }

// Policies returns the edit that makes change of a workload with these
// annotations in git, and whether there is anything to edit.
//
// A key that is there keeps its prefix, and of several the one that counts is
// set; new keys get the first of policy.Prefixes. What is removed is removed
// under every prefix. Where one key is set and removed, it is removed.
func Policies(change PolicyChange, w Workload, annotations map[string]string) (edit.Edit, bool, error) {
	if err := change.Validate(); err != nil {
		return edit.Edit{}, false, err
	}
	if err := change.applicable(w, annotations); err != nil {
		return edit.Edit{}, false, fmt.Errorf("%s: %w", w.ID, err)
	}
	a := annotator{annotations: annotations, set: map[string]string{}, remove: map[string]bool{}}
	a.flag(change.Automate, change.Deautomate, "automated")
	a.flag(change.Lock, change.Unlock, "locked")
	if change.Lock {
		a.text(change.LockUser, "locked_user")
		a.text(change.LockMessage, "locked_msg")
	}
	if change.Unlock {
		a.drop(keys("locked_user"))
		a.drop(keys("locked_msg"))
	}
	for container, pattern := range change.patterns(w) {
		if takesAll(pattern) {
			a.drop(patternKeys(container))
		} else {
			a.put(patternKeys(container), pattern)
		}
	}
	e, changed := a.edit(w.ID)
	return e, changed, nil
}

// applicable tells what of the change would have no effect on w.
func (c PolicyChange) applicable(w Workload, annotations map[string]string) error {
	var names []string
	for _, container := range w.Containers {
		names = append(names, container.Name)
	}
	var missing []string
	for name := range c.Tags {
		if !slices.Contains(names, name) && !takesAll(c.Tags[name]) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		hint := ""
		if near := diag.Nearest(missing[0], names); near != "" {
			hint = fmt.Sprintf(": did you mean %s?", near)
		}
		return errors.New(reasonNoContainer + strings.Join(missing, ", ") + hint)
	}
	if c.Deautomate && !w.Policy.Automated {
		for _, container := range w.Containers {
			if container.Automated {
				return fmt.Errorf("container %s is automated by %s: change it there", container.Name, container.Rules.Source)
			}
		}
	}
	return nil
}

// patterns returns the new pattern by container.
func (c PolicyChange) patterns(w Workload) map[string]string {
	patterns := map[string]string{}
	if c.TagAll != "" {
		for _, container := range w.Containers {
			patterns[container.Name] = c.TagAll
		}
	}
	maps.Copy(patterns, c.Tags)
	return patterns
}

// annotator collects what becomes of annotations.
type annotator struct {
	annotations map[string]string
	set         map[string]string
	remove      map[string]bool
}

// flag sets or removes an annotation that is "true" or absent.
func (a *annotator) flag(on, off bool, name string) {
	switch {
	case off:
		a.drop(keys(name))
	case on:
		a.put(keys(name), "true")
	}
}

// text sets an annotation, or removes it if there is nothing to say: who locks
// anew does not keep another's reason.
func (a *annotator) text(value, name string) {
	if value == "" {
		a.drop(keys(name))
		return
	}
	a.put(keys(name), value)
}

// put sets the first of keys that is there, which is the one that counts, else
// the first.
func (a *annotator) put(keys []string, value string) {
	key := keys[0]
	for _, k := range keys {
		if _, ok := a.annotations[k]; ok {
			key = k
			break
		}
	}
	if have, ok := a.annotations[key]; !ok || have != value {
		a.set[key] = value
	}
}

func (a *annotator) drop(keys []string) {
	for _, k := range keys {
		if _, ok := a.annotations[k]; ok {
			a.remove[k] = true
		}
	}
}

func (a *annotator) edit(id string) (edit.Edit, bool) {
	e := edit.Edit{Workload: id, Remove: slices.Sorted(maps.Keys(a.remove))}
	maps.DeleteFunc(a.set, func(key, _ string) bool { return a.remove[key] })
	if len(a.set) > 0 {
		e.Set = a.set
	}
	return e, len(e.Set)+len(e.Remove) > 0
}

// keys are the annotations that may hold the policy called name, the one that
// counts first.
func keys(name string) []string {
	var all []string
	for _, prefix := range policy.Prefixes() {
		all = append(all, prefix+name)
	}
	return all
}

// patternKeys are the annotations that may hold the pattern of a container, in
// the order of policy.Of.
func patternKeys(container string) []string {
	all := keys("tag." + container)
	return slices.Insert(all, 2, "filter.fluxcd.io/"+container)
}
