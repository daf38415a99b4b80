package main

import (
	"github.com/sluice-gitops/sluice/scripts/devregistry/cloud"
	"github.com/sluice-gitops/sluice/scripts/devregistry/front"
)

// clouds are the fakes that -cloud can name.
var clouds = map[string]func(cloud.Options) (cloud.Cloud, error){}

// dialects are the listing APIs that -dialect can name.
var dialects = map[string]func(front.Lister) front.Native{}
