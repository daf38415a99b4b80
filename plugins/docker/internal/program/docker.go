package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sluice-gitops/sluice/plugins/docker/internal/authfile"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// tokenUser is the user name with which a docker credential helper says that
// the secret is an identity token.
const tokenUser = "<token>"

// notFound is what every docker credential helper prints, at least, if it knows
// nothing of a server.
const notFound = "credentials not found"

// Get asks a docker credential helper about a server; a zero Credential if it
// has none.
func (s Spec) Get(ctx context.Context, server string) (authfile.Credential, error) {
	out, err := s.run(ctx, server, "get")
	if failed, ok := errors.AsType[*failure](err); ok {
		return authfile.Credential{}, s.explain(failed)
	}
	if err != nil {
		return authfile.Credential{}, err
	}
	var answer struct{ Username, Secret string }
	if json.Unmarshal([]byte(out), &answer) != nil { // whose error may repeat the secret
		return authfile.Credential{}, fmt.Errorf("%s: its answer is not the JSON of a docker credential helper", s.Command[0])
	}
	if answer.Username == tokenUser {
		return authfile.Credential{IdentityToken: secret.New(answer.Secret)}, nil
	}
	return authfile.Credential{Username: answer.Username, Password: secret.New(answer.Secret)}, nil
}

// explain turns the failure of a helper into nil, if it only has no credential,
// or adds the reason: by the protocol, that is on standard output.
func (s Spec) explain(f *failure) error {
	message := strings.TrimSpace(f.stdout)
	switch {
	case strings.Contains(strings.ToLower(message), notFound):
		return nil
	case message == "" || strings.ContainsAny(message, "{}"): // that would be no message
		return f
	}
	shown := *f
	shown.stderr = strings.TrimSpace(scrub(message, s.Hide) + " " + f.stderr)
	return &shown
}
