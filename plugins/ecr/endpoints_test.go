package main

import (
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// TestEndpoints checks which server each registry's password is asked from, up
// to the connection, which is not made.
func TestEndpoints(t *testing.T) {
	clearEnvironment(t)
	for host, want := range map[string]string{
		home:  "api.ecr.eu-west-1.amazonaws.com",
		china: "api.ecr.cn-north-1.amazonaws.com.cn",
		account + ".dkr.ecr.us-gov-west-1.amazonaws.com":            "api.ecr.us-gov-west-1.amazonaws.com",
		account + ".dkr.ecr-fips.us-east-1.amazonaws.com":           "api.ecr-fips.us-east-1.amazonaws.com",
		account + ".dkr-ecr.eu-west-1.on.aws":                       "ecr.eu-west-1.api.aws",
		account + ".dkr-ecr-fips.us-west-2.on.aws":                  "ecr-fips.us-west-2.api.aws",
		account + ".dkr-ecr.cn-north-1.on.amazonwebservices.com.cn": "ecr.cn-north-1.api.amazonwebservices.com.cn",
		account + ".dkr.ecr.us-iso-east-1.c2s.ic.gov":               "api.ecr.us-iso-east-1.c2s.ic.gov",
		account + ".dkr.ecr.us-isob-east-1.sc2s.sgov.gov":           "api.ecr.us-isob-east-1.sc2s.sgov.gov",
		account + ".dkr.ecr.eusc-de-east-1.amazonaws.eu":            "api.ecr.eusc-de-east-1.amazonaws.eu",
		publicHost: "api.ecr-public.us-east-1.amazonaws.com",
	} {
		h, ok := parseHost(host)
		if !ok {
			t.Errorf("%s is not taken for ECR", host)
			continue
		}
		asked := ""
		s := &session{aws: aws.Config{
			Credentials:      credentials.NewStaticCredentialsProvider("AKIA", "secret", ""),
			RetryMaxAttempts: 1,
			HTTPClient: doer(func(r *http.Request) (*http.Response, error) {
				asked = r.URL.Host
				return nil, http.ErrServerClosed
			}),
		}}
		if _, err := token(t.Context(), s, h); err == nil {
			t.Errorf("%s: no error", host)
		}
		if asked != want {
			t.Errorf("%s: asks %q; want %q", host, asked, want)
		}
	}
}

type doer func(*http.Request) (*http.Response, error)

func (c doer) Do(r *http.Request) (*http.Response, error) { return c(r) }
