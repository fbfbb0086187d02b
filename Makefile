# 'make help' tells what there is. Everything runs without questions, and again.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO ?= go
# Packages tested at the same time. Two: race tests fill a core each, and timing gets worse before it gets faster.
PARALLEL ?= 2
# How long each fuzz target runs.
FUZZTIME ?= 20s
# Passed on by 'make run' (--kafka HOST:PORT) and 'make bench-smoke' (-o json).
ARGS ?=

.PHONY: help
help: ## tell what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 16

.PHONY: run
run: build ## everything in one process, on the embedded brokers: bin/sluice dev
	@bin/sluice dev $(ARGS)

.PHONY: build
build: ## the static binary, bin/sluice
	@CGO_ENABLED=0 $(GO) build -trimpath -o bin/sluice ./cmd/sluice

.PHONY: tools
tools: ## install the brokers and clients that tests need, where they are missing
	@test/tools/install.sh

# Both parts run, also when the first fails: one run tells everything.
.PHONY: test
test: tools ## everything: unit tests with the race detector, then end to end on real brokers
	@failed=; \
	echo '== unit tests, with the race detector'; \
	$(MAKE) test-race || failed="$$failed test-race"; \
	echo '== allocations on the hot paths'; \
	$(MAKE) test-allocations || failed="$$failed test-allocations"; \
	echo '== end-to-end tests, on real brokers'; \
	$(MAKE) test-e2e || failed="$$failed test-e2e"; \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

.PHONY: test-race
test-race: ## unit tests with the race detector
	@CGO_ENABLED=1 $(GO) test -race -p $(PARALLEL) -timeout 10m ./...

# Under the race detector sync.Pool forgets at random, so allocations are counted without it.
.PHONY: test-allocations
test-allocations: ## what a message or a request may allocate
	@$(GO) test -count=1 -run Alloc ./connectors/... ./dataplane/... ./policies/... ./qos/...

# One package at a time: each runs brokers of its own. Never from the cache: the brokers are not in its key.
.PHONY: test-e2e
test-e2e: ## end-to-end tests on real brokers ('make tools' first)
	@failed=; \
	$(GO) test -tags e2e -count=1 -p 1 -timeout 20m ./test/... || failed=yes; \
	$(GO) test -tags e2e -count=1 -p 1 -timeout 10m -run '^TestReal_' ./connectors/... || failed=yes; \
	[ -z "$$failed" ]

.PHONY: test-grid
test-grid: tools ## the whole quality-of-service grid: every served cell under every fault, 50,000 messages each; goes on where it was
	@$(GO) run ./test/grid/cmd $(ARGS)

.PHONY: check
check: check-format check-vet check-staticcheck check-vulnerabilities check-generated test-race ## what must hold before a change lands

.PHONY: check-format
check-format:
	@bad=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go' | while read -r f; do [ ! -e "$$f" ] || echo "$$f"; done)); \
	if [ -n "$$bad" ]; then echo "not formatted, run gofmt -w:" $$bad >&2; exit 1; fi

.PHONY: check-vet
check-vet:
	@$(GO) vet ./...
	@$(GO) vet -tags e2e ./...

# The checkers are pinned here and not in go.mod, where their dependencies would become ours.
.PHONY: check-staticcheck
check-staticcheck:
	@test/tools/checker.sh honnef.co/go/tools/cmd/staticcheck@v0.8.2 -tags e2e ./...

.PHONY: check-vulnerabilities
check-vulnerabilities:
	@test/tools/vulnerabilities.sh

.PHONY: check-generated
check-generated:
	@test/tools/generated.sh

.PHONY: generate
generate: ## write the generated code anew
	@$(GO) generate ./...

.PHONY: docs
docs: ## write the documentation pages that come from code anew
	@$(GO) generate ./qos ./test/grid

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (20s)
	@test/tools/fuzz.sh $(FUZZTIME)

.PHONY: bench-smoke
bench-smoke: tools ## POST -> Kafka and Kafka -> SSE beside the plain limits, under three minutes
	@$(GO) run ./bench/smoke $(ARGS)

.PHONY: bench-failover
bench-failover: ## kill -9 the control plane's leader, and time the next accepted write
	@$(GO) run ./bench/failover $(ARGS)
