package config

import (
	"strings"
	"text/template"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

const (
	defaultAutomationInterval = 5 * time.Minute
	defaultHealthTimeout      = 10 * time.Minute
)

var (
	automationSchema = schema.Schema{
		Attributes: []schema.Attribute{
			{Name: "for_each"}, {Name: "sync"}, {Name: "release"}, {Name: "interval"}, {Name: "soak"},
			{Name: "suspend"}, {Name: "suspend_reason"}, {Name: "branch"}, {Name: "message"},
		},
		Blocks: []schema.Block{{Name: "health", Nesting: schema.Single, Body: healthSchema}},
	}
	healthSchema = schema.Schema{Attributes: []schema.Attribute{{Name: "timeout"}, {Name: "revert"}, {Name: "quarantine"}}}
)

// ImageAutomation is one image_automation block, or one instance of it: how
// the images of a sync, or of a release's files of values, are kept up to date.
// Each has at most one.
type ImageAutomation struct {
	Block
	Target        string        // address of the sync or release whose images it updates
	Interval      time.Duration // between two looks when nothing new is heard of
	Soak          time.Duration // that a tag is known before it is taken
	Suspend       bool
	SuspendReason string      // for people
	Branch        string      // to push to; "" for the one that is read
	Message       string      // of commits, a text/template that parses; "" for the default
	MessageRange  diag.Range  // of the argument
	Health        *HealthGate // nil: what a rollout comes to changes nothing
}

// HealthGate says what happens when the rollout of an automated update fails.
type HealthGate struct {
	Timeout    time.Duration // after which a rollout that is not over has failed
	Revert     bool          // push the image that was there before
	Quarantine bool          // do not take the tag again
}

func (l *loader) addAutomation(b Block, a *arguments) {
	auto := ImageAutomation{
		Block:         b,
		Interval:      a.duration("interval", defaultAutomationInterval, minInterval),
		Soak:          a.duration("soak", 0, 0),
		Suspend:       a.bool("suspend", false),
		SuspendReason: a.string("suspend_reason", ""),
		Branch:        a.branch("branch"),
		Message:       a.template("message"),
		MessageRange:  toRange(a.at("message")),
		Health:        a.health(),
	}
	what := a.choice("whose images are updated", "sync", "release")
	switch what {
	case "sync":
		auto.Target = a.reference(what, kindSync)
	case "release":
		auto.Target = a.reference(what, kindRelease)
	}
	if auto.Target != "" {
		if first, ok := l.claim("automation of "+auto.Target, b.Address, a.at(what)); !ok {
			l.errorf(a.at(what), "Two automations", "%s has the image automation %s already, at %s. Remove %s or that one.",
				auto.Target, first.address, toRange(first.at), b.Address)
		}
	}
	l.cfg.ImageAutomations = append(l.cfg.ImageAutomations, auto)
}

func (a *arguments) health() *HealthGate {
	b := a.block("health", healthSchema)
	if b == nil {
		return nil
	}
	gate := &HealthGate{
		Timeout:    b.duration("timeout", defaultHealthTimeout, minInterval),
		Revert:     b.bool("revert", false),
		Quarantine: b.bool("quarantine", true),
	}
	if gate.Revert && !gate.Quarantine {
		b.l.errorf(b.at("quarantine"), "Endless update", "A tag that is reverted and not in quarantine is taken again at once. Remove quarantine = false.")
	}
	if !gate.Revert && !gate.Quarantine {
		b.l.warnf(b.header, "Nothing happens", "Without revert and quarantine, a rollout that fails changes nothing. Remove the block, or one of the two arguments.")
	}
	return gate
}

// branch returns the name of a branch.
func (a *arguments) branch(name string) string {
	v, at, ok := a.value(name, cty.String)
	if !ok {
		return ""
	}
	short := strings.TrimPrefix(plain(v), "refs/heads/")
	if problem := checkRefName(short); problem != "" {
		a.l.errorf(at, "Wrong branch", "%s can be no branch: %s.", a.l.show(v), problem)
	}
	return short
}

// template returns the text of a text/template that parses.
func (a *arguments) template(name string) string {
	v, at, ok := a.value(name, cty.String)
	if !ok {
		return ""
	}
	if _, err := template.New(name).Parse(plain(v)); err != nil {
		reason := "line " + strings.TrimPrefix(err.Error(), "template: "+name+":")
		if v.IsMarked() {
			reason = "its text is secret" // and the error quotes it
		}
		a.l.errorf(at, "Wrong template", "The template does not parse: %s. See https://pkg.go.dev/text/template for what it may hold.", reason)
		return ""
	}
	return plain(v)
}
