module github.com/sluice-gitops/sluice/examples

go 1.26.0
