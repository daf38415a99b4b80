package main

import (
	"regexp"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Config is the plugin's part of a `registry_credential "ecr"` block.
type Config struct {
	Regions         []string `hcl:"regions,optional" doc:"Regions to answer for, such as eu-west-1. Default: every region that an image names."`
	Accounts        []string `hcl:"accounts,optional" doc:"Accounts to answer for, as 12 digits in quotes. Default: every account that an image names."`
	ExcludeAccounts []string `hcl:"exclude_accounts,optional" doc:"Accounts not to answer for, such as those of AWS itself."`

	AssumeRole  string `hcl:"assume_role,optional" doc:"ARN of a role to assume with the credentials that were found."`
	ExternalID  string `hcl:"external_id,optional" doc:"External ID that the role's trust policy asks for. AWS does not treat it as a secret."`
	SessionName string `hcl:"session_name,optional" default:"sluice" doc:"Name of the session with the assumed role, as CloudTrail shows it."`
	Profile     string `hcl:"profile,optional" doc:"Profile of the shared configuration files to use, instead of the default chain."`
}

var (
	accountPattern = regexp.MustCompile(`^[0-9]{12}$`)
	regionPattern  = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)
	rolePattern    = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+$`)
	sessionPattern = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
)

// Validate checks what the schema cannot say.
func (c *Config) Validate() diag.List {
	var l diag.List
	for _, r := range c.Regions {
		if !regionPattern.MatchString(r) {
			l = append(l, diag.Errorf(diag.Attr("regions"), "%q is not an AWS region", r))
		}
	}
	l = append(l, checkAccounts("accounts", c.Accounts)...)
	l = append(l, checkAccounts("exclude_accounts", c.ExcludeAccounts)...)
	if c.AssumeRole != "" && !rolePattern.MatchString(c.AssumeRole) {
		d := diag.Errorf(diag.Attr("assume_role"), "%q is not the ARN of a role", c.AssumeRole)
		d.Detail = "It looks like arn:aws:iam::123456789012:role/ecr-read."
		l = append(l, d)
	}
	if c.AssumeRole == "" && c.ExternalID != "" {
		l = append(l, diag.Errorf(diag.Attr("external_id"), "external_id needs assume_role"))
	}
	if !sessionPattern.MatchString(c.SessionName) {
		l = append(l, diag.Errorf(diag.Attr("session_name"), "%q is not the name of a session: 2 to 64 letters, digits and =,.@+-_", c.SessionName))
	}
	return l
}

func checkAccounts(attr string, accounts []string) diag.List {
	var l diag.List
	for _, a := range accounts {
		if accountPattern.MatchString(a) {
			continue
		}
		d := diag.Errorf(diag.Attr(attr), "%q is not an AWS account", a)
		d.Detail = "An account has 12 digits, leading zeros included. Write it in quotes: without them it is a number, and loses them."
		l = append(l, d)
	}
	return l
}
