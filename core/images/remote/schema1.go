package remote

import (
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/sluice-gitops/sluice/core/images/cache"
)

// withoutSignatures returns the content that the digest of a manifest is of.
// That is all of it but for schema 1, whose signatures stand within it and say
// what to leave out: of the content they know how many bytes come before them,
// and the end. The signatures themselves prove nothing; their keys are anyone's.
func withoutSignatures(body []byte) ([]byte, error) {
	var m struct {
		SchemaVersion int `json:"schemaVersion"`
		Signatures    []struct {
			Protected string `json:"protected"`
		} `json:"signatures"`
	}
	if json.Unmarshal(body, &m) != nil || m.SchemaVersion != 1 || len(m.Signatures) == 0 {
		return body, nil
	}
	var format struct {
		Length int    `json:"formatLength"`
		Tail   string `json:"formatTail"`
	}
	protected, err := base64.RawURLEncoding.DecodeString(m.Signatures[0].Protected)
	if err != nil || json.Unmarshal(protected, &format) != nil || format.Length <= 0 || format.Length > len(body) {
		return nil, errors.New("its signature does not tell what it signs")
	}
	tail, err := base64.RawURLEncoding.DecodeString(format.Tail)
	if err != nil {
		return nil, errors.New("its signature does not tell what it signs")
	}
	return append(body[:format.Length:format.Length], tail...), nil
}

// readSchema1 reads the newest layer's entry, which holds the config.
func (r *reading) readSchema1(m *manifest) error {
	if len(m.History) == 0 {
		return r.t.broken("the manifest of schema 1", errors.New("it has no history"))
	}
	var cfg config
	if err := json.Unmarshal([]byte(m.History[0].V1Compatibility), &cfg); err != nil {
		return r.t.broken("the history in the manifest of schema 1", errForm)
	}
	r.image.Labels = cfg.Config.Labels
	r.image.Platforms = []cache.Platform{{OS: cfg.OS, Architecture: cfg.Architecture, Variant: cfg.Variant, Digest: m.digest}}
	r.image.Created, r.image.CreatedFrom = created(cfg.Created, "the history")
	return nil
}
