package charts

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"helm.sh/helm/v4/pkg/provenance"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// checkEntry verifies the provenance that is beside an archive.
func (s *Store) checkEntry(ctx context.Context, ref helm.ChartRef, at location, file string) error {
	beside := at
	u := *at.URL
	u.Path, u.RawPath = u.Path+".prov", ""
	beside.URL, beside.asked = &u, at.asked+".prov"
	resp, err := s.get(ctx, beside, nil)
	if err != nil {
		return fmt.Errorf("provenance: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostProvenance))
	if err != nil {
		return fmt.Errorf("provenance: %w", unreachable(ctx, beside, err))
	}
	return verify(ref, file, path.Base(at.Path), text)
}

// verify checks that one of the keys of ref has signed the archive.
func verify(ref helm.ChartRef, file, name string, text []byte) error {
	keys, err := keyring(ref.Keyring)
	if err != nil {
		return sdk.Permanent(err)
	}
	archive, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := (&provenance.Signatory{KeyRing: keys}).Verify(archive, text, name); err != nil {
		return fmt.Errorf("the chart's signature is not accepted: %w", err)
	}
	return nil
}

// keyring reads armored keys, one block or several.
func keyring(text string) (openpgp.EntityList, error) {
	var all openpgp.EntityList
	r := bufio.NewReader(strings.NewReader(text)) // or else Decode reads ahead
	for {
		block, err := armor.Decode(r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the keyring holds something that is not armored: %w", err)
		}
		keys, err := openpgp.ReadKeyRing(block.Body)
		if err != nil {
			return nil, fmt.Errorf("the keyring cannot be read: %w", err)
		}
		all = append(all, keys...)
	}
	if len(all) == 0 {
		return nil, errors.New("the keyring holds no key: export them with `gpg --export --armor`")
	}
	return all, nil
}
