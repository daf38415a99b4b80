package mirror

import (
	"encoding/json"

	"github.com/sluice-gitops/sluice/config"
)

// Files keeps certificates in files, for plugins that read files. It returns the
// path of one that holds text.
type Files func(text string) (path string)

// Source is the configuration of a source that is read from a mirror, if there
// is one for its URL: original is that URL then, and instead what stands in for
// it. Credentials are for the original and stay behind.
func (t Table) Source(p config.PluginConfig, keep Files) (mirrored config.PluginConfig, original, instead string) {
	var cfg map[string]json.RawMessage
	if json.Unmarshal(p.JSON, &cfg) != nil || json.Unmarshal(cfg["url"], &original) != nil {
		return p, "", ""
	}
	to, m, ok := t.Find(original)
	if !ok {
		return p, "", ""
	}
	changes := map[string]any{"url": to}
	if _, has := cfg["auth"]; has || m.Username != "" {
		changes["auth"] = nil
	}
	if m.Username != "" {
		changes["auth"] = map[string]string{"username": m.Username, "password": m.Password.Reveal()}
	}
	for _, block := range []string{"ssh", "tls"} {
		if _, has := cfg[block]; has && (block == "tls" || !IsSSH(to)) {
			changes[block] = nil
		}
	}
	if tls := certificates(m, keep); len(tls) > 0 && !IsSSH(to) {
		changes["tls"] = tls
	}
	for name, value := range changes {
		cfg[name], _ = json.Marshal(value) // strings and maps of them
	}
	p.JSON, _ = json.Marshal(cfg)
	return p, original, to
}

// certificates are those of a mirror, as files.
func certificates(m config.Mirror, keep Files) map[string]string {
	tls := map[string]string{}
	for name, text := range map[string]string{"ca_file": m.CA, "cert_file": m.Cert, "key_file": m.Key.Reveal()} {
		if text != "" {
			tls[name] = keep(text)
		}
	}
	return tls
}
