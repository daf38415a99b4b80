package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/schema"
)

type values = map[string]any

func TestConfig(t *testing.T) {
	const role = "arn:aws:iam::123456789012:role/team/ecr-read"
	for _, c := range []struct {
		name   string
		config values
		want   []string // "path: summary", each a prefix
	}{
		{"nothing", values{}, nil},
		{"everything", values{"regions": []string{"eu-west-1", "us-gov-west-1"}, "accounts": []string{"012345678901"}, "exclude_accounts": []string{"602401143452"},
			"assume_role": role, "external_id": "x", "session_name": "scan", "profile": "prod"}, nil},
		{"china", values{"assume_role": "arn:aws-cn:iam::123456789012:role/r"}, nil},

		{"region", values{"regions": []string{"eu-west-1", "Ireland"}}, []string{`regions: "Ireland" is not an AWS region`}},
		{"short account", values{"accounts": []string{"12345678901"}}, []string{`accounts: "12345678901" is not an AWS account`}},
		{"account as a number", values{"accounts": []any{12345678901}}, []string{`accounts`}},
		{"excluded account", values{"exclude_accounts": []string{"amazon"}}, []string{`exclude_accounts: "amazon" is not an AWS account`}},
		{"role name", values{"assume_role": "ecr-read"}, []string{`assume_role: "ecr-read" is not the ARN of a role`}},
		{"user ARN", values{"assume_role": "arn:aws:iam::123456789012:user/u"}, []string{`assume_role: `}},
		{"external ID alone", values{"external_id": "x"}, []string{"external_id: external_id needs assume_role"}},
		{"session name", values{"session_name": "a b"}, []string{`session_name: "a b" is not the name of a session`}},
		{"unknown", values{"region": "eu-west-1"}, []string{"region"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := json.Marshal(c.config)
			if err != nil {
				t.Fatal(err)
			}
			var config Config
			var got []string
			for i, d := range schema.Decode(text, &config) {
				line := d.Path.String() + ": " + d.Summary
				if i < len(c.want) && strings.HasPrefix(line, c.want[i]) {
					line = c.want[i]
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every attribute is documented; README.md names them all.
func TestSchemaIsDocumented(t *testing.T) {
	s, err := schema.Of[Config]()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range s.Attributes {
		if a.Doc == "" {
			t.Errorf("%s has no doc", a.Name)
		}
		if !strings.Contains(string(readme), "| `"+a.Name+"` |") {
			t.Errorf("README.md has no row for `%s`", a.Name)
		}
	}
}
