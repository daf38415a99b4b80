# Sluice. `make` alone prints this help.

# A semantic version, which plugins must have: that of the tag, or a development
# version with the commit as build metadata.
VERSION ?= $(or $(patsubst v%,%,$(shell git describe --tags --exact-match --match 'v*' 2>/dev/null)),0.0.0-dev+g$(or $(shell git rev-parse --short=10 HEAD 2>/dev/null),unknown))
CACHE   ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sluice
BIN     := bin
PLUGINS := $(notdir $(patsubst %/go.mod,%,$(wildcard plugins/*/go.mod)))
LDFLAGS := -s -w -X github.com/sluice-gitops/sluice/core/cli.version=$(VERSION)
GOLANGCI_VERSION := v2.15.0
GOVULN_VERSION   := v1.9.0
GOLANGCI := $(CACHE)/tools/golangci-lint-$(GOLANGCI_VERSION)/golangci-lint

export CGO_ENABLED ?= 0

.DEFAULT_GOAL := help
.PHONY: help build sluice plugins devcluster devregistry demo test check lint bench gen tidy vuln clean

help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "; print "Usage: make <target>\n"} /^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: sluice plugins devcluster devregistry ## Build bin/sluice, the plugins beside it, and the tools for tests

sluice:
	@echo "building bin/sluice"
	@GOWORK=off go build -trimpath -ldflags "$(LDFLAGS)" -o $(BIN)/sluice ./core/cmd/sluice

plugins: $(addprefix plugin-,$(PLUGINS))

plugin-%:
	@echo "building bin/sluice-plugin-$*"
	@cd plugins/$* && GOWORK=off go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o ../../$(BIN)/sluice-plugin-$* .

devcluster:
	@echo "building bin/devcluster"
	@cd scripts/devcluster && GOWORK=off go build -trimpath -ldflags "-s -w" -o ../../$(BIN)/devcluster .

devregistry:
	@echo "building bin/devregistry"
	@cd scripts/devregistry && GOWORK=off go build -trimpath -ldflags "-s -w" -o ../../$(BIN)/devregistry .

demo: build ## Run the whole loop on this machine: cluster, git server, two repositories, pruning
	@scripts/demo.sh

test: ## Run every test, end-to-end ones included, on a control plane of its own
	@scripts/test.sh

check: ## Fast inner loop: vet and test what needs no cluster
	@scripts/check.sh

lint: $(GOLANGCI) ## Run golangci-lint over every module
	@scripts/modules.sh $(GOLANGCI) run --config $(CURDIR)/.golangci.yml ./...

$(GOLANGCI):
	@echo "building golangci-lint $(GOLANGCI_VERSION) (once)"
	@GOWORK=off GOBIN=$(dir $@) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

bench: build ## Compare with kubectl apply --server-side on the same cluster, in one run
	@scripts/bench.sh

gen: ## Regenerate the protobuf code
	@scripts/gen.sh

tidy: ## go mod tidy in every module
	@scripts/modules.sh go mod tidy

vuln: ## Run govulncheck where its database can be reached
	@scripts/modules.sh go run golang.org/x/vuln/cmd/govulncheck@$(GOVULN_VERSION) ./...

clean: ## Remove bin/
	rm -rf $(BIN)
