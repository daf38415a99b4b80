package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// defaultUniverse is the domain of Google's public cloud; others have their
// own, which stands in the credential file.
const defaultUniverse = "googleapis.com"

// impersonate exchanges the token of the caller for one of the account to act
// as. The SDK can do so only from credential files, or with a package that
// brings gRPC and OpenTelemetry along for this one request.
func (p *provider) impersonate(ctx context.Context, caller token, universe string) (token, error) {
	t, err := p.generateToken(ctx, caller, universe)
	if err != nil {
		return token{}, fmt.Errorf("impersonate %q with the credentials of the %s: %w", p.config.Impersonate, caller.source, err)
	}
	t.source = caller.source + " as " + p.config.Impersonate
	return t, nil
}

func (p *provider) generateToken(ctx context.Context, caller token, universe string) (token, error) {
	url := fmt.Sprintf("https://iamcredentials.%s/v1/projects/-/serviceAccounts/%s:generateAccessToken", universe, p.config.Impersonate)
	body, err := json.Marshal(map[string]any{"scope": []string{scope}})
	if err != nil {
		return token{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return token{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+caller.value)
	x := &exchange{base: p.transport, kind: "impersonation", account: p.config.Impersonate}
	resp, err := (&http.Client{Transport: x}).Do(req)
	if err != nil {
		return token{}, x.explain(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // it has been read
	if resp.StatusCode != http.StatusOK {
		return token{}, x.explain(ctx, fmt.Errorf("the IAM API answered %s", resp.Status))
	}
	var answer struct {
		Token   string    `json:"accessToken"`
		Expires time.Time `json:"expireTime"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer)
	if err != nil || answer.Token == "" || answer.Expires.IsZero() {
		return token{}, errors.New("the IAM API's answer is not the JSON of a token")
	}
	return token{value: answer.Token, expires: answer.Expires}, nil
}
