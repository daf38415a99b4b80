package remote

import (
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// manifestTypes are what is understood, in the order of preference: an index
// tells all platforms. Schema 1 is what very old registries have.
var manifestTypes = strings.Join([]string{
	string(types.OCIImageIndex), string(types.DockerManifestList),
	string(types.OCIManifestSchema1), string(types.DockerManifestSchema2),
	string(types.DockerManifestSchema1Signed), string(types.DockerManifestSchema1),
}, ", ")
