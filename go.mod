module github.com/sluice-gitops/sluice

go 1.26.0

require github.com/sluice-gitops/sluice/sdk v0.0.0

replace github.com/sluice-gitops/sluice/sdk => ./sdk
