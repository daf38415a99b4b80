package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseHost(t *testing.T) {
	for _, c := range []struct {
		host      string
		want      ecrHost
		partition string // empty: not ECR
	}{
		{"123456789012.dkr.ecr.eu-west-1.amazonaws.com", ecrHost{Account: "123456789012", Region: "eu-west-1"}, "aws"},
		{"012345678901.dkr.ecr.ap-southeast-2.amazonaws.com:443", ecrHost{Account: "012345678901", Region: "ap-southeast-2"}, "aws"},
		{"123456789012.DKR.ecr.EU-west-1.amazonaws.com", ecrHost{Account: "123456789012", Region: "eu-west-1"}, "aws"},
		{"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", ecrHost{Account: "123456789012", Region: "cn-north-1"}, "aws-cn"},
		{"123456789012.dkr.ecr.us-gov-west-1.amazonaws.com", ecrHost{Account: "123456789012", Region: "us-gov-west-1"}, "aws-us-gov"},
		{"123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", ecrHost{Account: "123456789012", Region: "us-east-1", FIPS: true}, "aws"},
		{"123456789012.dkr-ecr.eu-west-1.on.aws", ecrHost{Account: "123456789012", Region: "eu-west-1", DualStack: true}, "aws"},
		{"123456789012.dkr-ecr-fips.us-gov-east-1.on.aws", ecrHost{Account: "123456789012", Region: "us-gov-east-1", FIPS: true, DualStack: true}, "aws-us-gov"},
		{"123456789012.dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn", ecrHost{Account: "123456789012", Region: "cn-northwest-1", DualStack: true}, "aws-cn"},
		{"123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", ecrHost{Account: "123456789012", Region: "eusc-de-east-1"}, "aws-eusc"},
		{"123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", ecrHost{Account: "123456789012", Region: "us-iso-east-1"}, "aws-iso"},
		{"123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", ecrHost{Account: "123456789012", Region: "us-isob-east-1"}, "aws-iso-b"},
		{"public.ecr.aws", ecrHost{Region: "us-east-1"}, "aws"},

		{host: ""},
		{host: "index.docker.io"},
		{host: "ecr.aws"},
		{host: "gallery.ecr.aws"},
		{host: "12345678901.dkr.ecr.eu-west-1.amazonaws.com"},          // 11 digits
		{host: "a23456789012.dkr.ecr.eu-west-1.amazonaws.com"},         // not digits
		{host: "123456789012.dkr.ecr.eu-west-1.amazonaws.com:5000"},    // another port
		{host: "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.io"}, // another domain
		{host: "123456789012.dkr.ecr.eu-west-1.evil.io"},
		{host: "123456789012.dkr.ecr.eu-west-1"},
		{host: "123456789012.dkr.ecr..amazonaws.com"},
		{host: "123456789012.dkr.ecr.nowhere.amazonaws.com"},
		{host: "123456789012.ecr.eu-west-1.amazonaws.com"},
		{host: "123456789012.dkr.ecr.cn-north-1.amazonaws.com"},    // China in the wrong domain
		{host: "123456789012.dkr.ecr.eu-west-1.amazonaws.com.cn"},  // and the other way round
		{host: "123456789012.dkr-ecr.eu-west-1.amazonaws.com"},     // dual stack in the old domain
		{host: "123456789012.dkr.ecr.eu-west-1.on.aws"},            // and the other way round
		{host: "123456789012.dkr-ecr.us-iso-east-1."},              // no such domain is known
		{host: "123456789012.dkr.ecr.eu-west-1/x.1.amazonaws.com"}, // a path
	} {
		got, ok := parseHost(c.host)
		if ok != (c.partition != "") || got.partition.name != c.partition {
			t.Errorf("parseHost(%q): %v, partition %q; want %q", c.host, ok, got.partition.name, c.partition)
		}
		if diff := cmp.Diff(c.want, got, cmpopts.IgnoreUnexported(ecrHost{})); diff != "" {
			t.Errorf("parseHost(%q): %s", c.host, diff)
		}
	}
}

// FuzzParseHost checks that a host that is taken for ECR is in a domain of
// AWS, whose servers get a signed request because of it.
func FuzzParseHost(f *testing.F) {
	f.Add("123456789012.dkr.ecr.eu-west-1.amazonaws.com")
	f.Add("123456789012.dkr-ecr-fips.us-east-1.on.aws:443")
	f.Add("public.ecr.aws")
	f.Fuzz(func(t *testing.T, host string) {
		h, ok := parseHost(host)
		if !ok || h.public() {
			return
		}
		domain := h.partition.plain
		if h.DualStack {
			domain = h.partition.dual
		}
		if !strings.HasSuffix(strings.TrimSuffix(strings.ToLower(host), ":443"), "."+h.Region+"."+domain) || domain == "" {
			t.Errorf("%q is taken for %+v", host, h)
		}
		if !accountPattern.MatchString(h.Account) || !regionPattern.MatchString(h.Region) {
			t.Errorf("%q is taken for %+v", host, h)
		}
	})
}
