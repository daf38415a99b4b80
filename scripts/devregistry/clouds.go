package main

import (
	"github.com/sluice-gitops/sluice/scripts/devregistry/aws"
	"github.com/sluice-gitops/sluice/scripts/devregistry/azure"
	"github.com/sluice-gitops/sluice/scripts/devregistry/cloud"
	"github.com/sluice-gitops/sluice/scripts/devregistry/google"
)

// clouds are the fakes that -cloud can name.
var clouds = map[string]func(cloud.Options) (cloud.Cloud, error){
	"aws":    aws.New,
	"azure":  azure.New,
	"google": google.New,
}
