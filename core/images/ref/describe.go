package ref

// Parsed is what "sluice images parse" prints of a reference. Every key is
// there; those that say nothing are empty.
type Parsed struct {
	Input      string `json:"input"`
	Domain     string `json:"domain"`     // as written
	Repository string `json:"repository"` // as written
	Tag        string `json:"tag"`
	Digest     string `json:"digest"`
	Canonical  string `json:"canonical"` // with the tag, without the digest
	Error      string `json:"error"`     // why there is nothing else
}

// Describe parses s and tells the result for a person or a script.
func Describe(s string) Parsed {
	r, err := Parse(s)
	if err != nil {
		return Parsed{Input: s, Error: err.Error()}
	}
	return Parsed{Input: s, Domain: r.Domain, Repository: r.Repository, Tag: r.Tag, Digest: r.Digest, Canonical: r.Canonical()}
}
