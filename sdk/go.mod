module github.com/sluice-gitops/sluice/sdk

go 1.26.0
