package cluster

import "net/http"

// rehearsing sends every write as a dry run, and asks for each object once: what
// would become of it is to be told of one state of it, and Helm asks twice.
type rehearsing struct {
	base http.RoundTripper
	read *answers
}

// RoundTrip implements http.RoundTripper.
func (r *rehearsing) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		dry := req.Clone(req.Context())
		query := dry.URL.Query()
		query.Set("dryRun", "All")
		dry.URL.RawQuery = query.Encode()
		return r.base.RoundTrip(dry)
	}
	key := req.Header.Get("Accept") + " " + req.URL.RequestURI()
	if a, ok := r.read.get(key); ok {
		return a.response(req), nil
	}
	resp, err := r.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	a, kept, err := keep(resp)
	if !kept || err != nil {
		return resp, err
	}
	r.read.put(key, a, r.read.current())
	return a.response(req), nil
}

// WrappedRoundTripper lets client-go find the transport below.
func (r *rehearsing) WrappedRoundTripper() http.RoundTripper { return r.base }
