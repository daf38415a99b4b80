package main

import (
	"github.com/sluice-gitops/sluice/scripts/devregistry/aws"
	"github.com/sluice-gitops/sluice/scripts/devregistry/cloud"
	"github.com/sluice-gitops/sluice/scripts/devregistry/front"
	"github.com/sluice-gitops/sluice/scripts/devregistry/google"
)

// clouds are the fakes that -cloud can name.
var clouds = map[string]func(cloud.Options) (cloud.Cloud, error){
	"aws":    aws.New,
	"google": google.New,
}

// dialects are the listing APIs that -dialect can name.
var dialects = map[string]func(front.Lister) front.Native{}
