package main

import (
	"slices"
	"strings"
)

// publicHost is the registry of public images, which is reached through one
// region.
const (
	publicHost   = "public.ecr.aws"
	publicRegion = "us-east-1"
)

// partition is a part of AWS with accounts of its own.
type partition struct {
	name    string
	home    string   // where STS is asked if nothing configures a region
	regions []string // prefixes of its regions; none: what no other partition claims
	plain   string   // registries are ACCOUNT.dkr.ecr.REGION.plain
	dual    string   // and ACCOUNT.dkr-ecr.REGION.dual, with IPv6 too; empty: nobody knows
}

// The order counts: of two partitions with the same domain the one that claims
// the region comes first.
var partitions = []partition{
	{name: "aws-us-gov", home: "us-gov-west-1", regions: []string{"us-gov-"}, plain: "amazonaws.com", dual: "on.aws"},
	{name: "aws", home: "us-east-1", plain: "amazonaws.com", dual: "on.aws"},
	{name: "aws-cn", home: "cn-north-1", regions: []string{"cn-"}, plain: "amazonaws.com.cn", dual: "on.amazonwebservices.com.cn"},
	{name: "aws-eusc", home: "eusc-de-east-1", regions: []string{"eusc-"}, plain: "amazonaws.eu", dual: "on.amazonwebservices.eu"},
	{name: "aws-iso", home: "us-iso-east-1", regions: []string{"us-iso-"}, plain: "c2s.ic.gov"},
	{name: "aws-iso-b", home: "us-isob-east-1", regions: []string{"us-isob-"}, plain: "sc2s.sgov.gov"},
	{name: "aws-iso-e", home: "eu-isoe-west-1", regions: []string{"eu-isoe-"}, plain: "cloud.adc-e.uk"},
	{name: "aws-iso-f", home: "us-isof-south-1", regions: []string{"us-isof-"}, plain: "csp.hci.ic.gov"},
}

// ecrHost is what the host name of a registry tells.
type ecrHost struct {
	Account   string // empty for the public registry
	Region    string
	FIPS      bool
	DualStack bool
	partition partition
}

func (h ecrHost) public() bool { return h.Account == "" }

// String names the registry for people.
func (h ecrHost) String() string {
	if h.public() {
		return publicHost
	}
	return "account " + h.Account + " in " + h.Region
}

// parseHost reports whether host is an ECR registry, and which.
func parseHost(host string) (ecrHost, bool) {
	host = strings.TrimSuffix(strings.ToLower(host), ":443")
	if host == publicHost {
		return ecrHost{Region: publicRegion, partition: partitionNamed("aws")}, true
	}
	account, rest, _ := strings.Cut(host, ".")
	h := ecrHost{Account: account}
	rest, h.DualStack = cutService(rest, &h.FIPS)
	region, domain, _ := strings.Cut(rest, ".")
	h.Region = region
	if !accountPattern.MatchString(account) || !regionPattern.MatchString(region) {
		return ecrHost{}, false
	}
	i := slices.IndexFunc(partitions, func(p partition) bool {
		d := p.plain
		if h.DualStack {
			d = p.dual
		}
		return domain != "" && domain == d && p.claims(region)
	})
	if i < 0 {
		return ecrHost{}, false
	}
	h.partition = partitions[i]
	return h, true
}

// cutService removes what stands between account and region. Without it the
// rest is empty.
func cutService(s string, fips *bool) (rest string, dualStack bool) {
	for _, service := range []struct {
		prefix     string
		fips, dual bool
	}{{"dkr.ecr.", false, false}, {"dkr.ecr-fips.", true, false}, {"dkr-ecr.", false, true}, {"dkr-ecr-fips.", true, true}} {
		if rest, ok := strings.CutPrefix(s, service.prefix); ok {
			*fips = service.fips
			return rest, service.dual
		}
	}
	return "", false
}

func (p partition) claims(region string) bool {
	if len(p.regions) > 0 {
		return slices.ContainsFunc(p.regions, func(prefix string) bool { return strings.HasPrefix(region, prefix) })
	}
	return !slices.ContainsFunc(partitions, func(other partition) bool {
		return len(other.regions) > 0 && other.claims(region)
	})
}

func partitionNamed(name string) partition {
	return partitions[slices.IndexFunc(partitions, func(p partition) bool { return p.name == name })]
}
