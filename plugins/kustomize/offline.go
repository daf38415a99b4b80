package main

import (
	"errors"
	"net/http"
	"os"
)

// stayOffline takes the network away from this process. kustomize fetches what
// looks like a URL wherever one may stand, over HTTP and by running git. What
// check finds is explained better; this is for what it does not find.
func stayOffline() {
	http.DefaultTransport = offline{}
	_ = os.Setenv("PATH", "") // fails only for names that are no names
}

// errOffline says why nothing is fetched.
var errOffline = errors.New("nothing is fetched while rendering, so that one commit always renders to the same objects; copy it into the repository")

type offline struct{}

// RoundTrip implements http.RoundTripper.
func (offline) RoundTrip(*http.Request) (*http.Response, error) { return nil, errOffline }
