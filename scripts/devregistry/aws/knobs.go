package aws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"time"
)

// Knobs change how the cloud behaves. What is left out gets its initial value.
type Knobs struct {
	// TokenLife is how long registry passwords are valid, SessionLife the same
	// of temporary credentials. Both are the registry's -cloud-life at first.
	TokenLife   Duration `json:"token_life"`
	SessionLife Duration `json:"session_life"`
	// Skew is how much AWS's clock is ahead of ours.
	Skew Duration `json:"skew"`
	// Deny refuses actions as a policy does.
	Deny []Rule `json:"deny"`
	// Throttle answers the next Count calls of an action with "Rate exceeded".
	Throttle []Throttle `json:"throttle"`
	// Trust are roles that may be assumed, besides the built-in ones: ecr-read
	// of Account, and ecr-read of OtherAccount with the external ID
	// "devregistry", both by principals of Account.
	Trust []Trust `json:"trust"`
	// IMDS is how the instance metadata service behaves.
	IMDS IMDS `json:"imds"`

	// RevokeSessions makes all temporary credentials invalid, as if expired,
	// once. RotateKeys replaces the users' keys and the file with them,
	// RotateIssuer the key that
	// signs the tokens in files, and these with it. All happen at the call.
	RevokeSessions bool `json:"revoke_sessions"`
	RotateKeys     bool `json:"rotate_keys"`
	RotateIssuer   bool `json:"rotate_issuer"`
}

// Rule names calls. Empty fields fit anything; Action and Principal, an ARN,
// may have wildcards.
type Rule struct {
	Action    string `json:"action"`    // ecr:DescribeImages, sts:*
	Account   string `json:"account"`   // whose registry or role
	Principal string `json:"principal"` // who calls
}

// Throttle refuses Count calls of Action, after Skip that it lets pass.
type Throttle struct {
	Action     string `json:"action"`
	Skip       int    `json:"skip"`
	Count      int    `json:"count"`
	RetryAfter int    `json:"retry_after"` // seconds; 0 sends none
}

// Trust is a role.
type Trust struct {
	Role       string `json:"role"`
	ExternalID string `json:"external_id"` // that must be given; empty: none
	Account    string `json:"account"`     // whose principals may assume it; empty: any
}

// IMDS is how the instance metadata service behaves.
type IMDS struct {
	Off    bool `json:"off"`     // every request gets 403
	NoRole bool `json:"no_role"` // the instance has none
}

// Duration is a time.Duration in the notation of Go.
type Duration struct{ time.Duration }

// UnmarshalJSON reads "5s".
func (d *Duration) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("a duration is a string like \"5s\": %w", err)
	}
	var err error
	d.Duration, err = time.ParseDuration(s)
	return err
}

func (f *fake) initial() Knobs {
	return Knobs{
		TokenLife:   Duration{f.options.Life},
		SessionLife: Duration{f.options.Life},
	}
}

// builtIn are the roles that exist without being named.
var builtIn = []Trust{
	{Role: "arn:aws:iam::" + OtherAccount + ":role/ecr-read", ExternalID: "devregistry", Account: Account},
	{Role: "arn:aws:iam::" + Account + ":role/ecr-read", Account: Account},
}

// Configure implements cloud.Cloud.
func (f *fake) Configure(text json.RawMessage) error {
	k := f.initial()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&k); err != nil {
		return err
	}
	if k.TokenLife.Duration <= 0 || k.SessionLife.Duration <= 0 {
		return errors.New("token_life and session_life are more than 0")
	}
	f.mu.Lock()
	f.knobs = k
	f.mu.Unlock()
	if k.RevokeSessions {
		f.iam.revoke()
	}
	if k.RotateKeys {
		if err := f.rotateKeys(); err != nil {
			return err
		}
	}
	if k.RotateIssuer {
		return f.issuer.rotate()
	}
	return nil
}

// denied reports whether a policy refuses the call.
func (f *fake) denied(action, account, principal string) bool {
	for _, r := range f.current().Deny {
		if fits(r.Action, action) && fits(r.Account, account) && fits(r.Principal, principal) {
			return true
		}
	}
	return false
}

func fits(pattern, value string) bool {
	ok, err := path.Match(pattern, value)
	return pattern == "" || pattern == "*" || ok && err == nil
}

// throttled counts the call, and returns the rule that refuses it.
func (f *fake) throttled(action string) (Throttle, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, t := range f.knobs.Throttle {
		switch {
		case !fits(t.Action, action) || t.Count == 0:
		case t.Skip > 0:
			f.knobs.Throttle[i].Skip--
		default:
			f.knobs.Throttle[i].Count--
			return t, true
		}
	}
	return Throttle{}, false
}
