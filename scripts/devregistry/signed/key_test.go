package signed

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

func TestVerify(t *testing.T) {
	for name, newKey := range map[string]func(string) (*Key, error){"ES256": NewKey, "RS256": NewRSAKey} {
		t.Run(name, func(t *testing.T) {
			k, err := newKey("a")
			if err != nil {
				t.Fatal(err)
			}
			other, err := newKey("a")
			if err != nil {
				t.Fatal(err)
			}
			token, err := k.Sign(New("issuer", "subject", "audience", time.Hour), map[string]any{"tid": "tenant"})
			if err != nil {
				t.Fatal(err)
			}
			var c Claims
			var more struct {
				Tenant string `json:"tid"`
			}
			if err := k.Verify(token, &c, &more); err != nil || c.Issuer != "issuer" || c.Subject != "subject" || !c.Audience.Contains("audience") || more.Tenant != "tenant" {
				t.Errorf("%+v %+v %v", c, more, err)
			}
			part := strings.Split(token, ".")
			unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"`+k.ID+`"}`)) + "." + part[1] + "."
			changed := part[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"me"}`)) + "." + part[2]
			for _, bad := range []string{"", "x", unsigned, changed, part[0] + "." + part[1]} {
				if err := k.Verify(bad, &c); err == nil {
					t.Errorf("%q is taken", bad)
				}
			}
			if err := other.Verify(token, &c); err == nil {
				t.Error("another key's token is taken")
			}
			other.ID = k.ID
			if err := other.Verify(token, &c); err == nil {
				t.Error("a token that only names the key is taken")
			}
		})
	}
}

func TestCheckTimes(t *testing.T) {
	valid := New("", "", "", time.Hour)
	expired, long, endless := New("", "", "", -time.Second), New("", "", "", 3*time.Hour), valid
	endless.Expiry = nil
	future := valid
	at := *valid.Expiry
	future.IssuedAt = &at
	for name, c := range map[string]struct {
		claims Claims
		ok     bool
	}{"valid": {valid, true}, "expired": {expired, false}, "long": {long, false}, "endless": {endless, false}, "of the future": {future, false}} {
		if err := CheckTimes(c.claims, 2*time.Hour); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
