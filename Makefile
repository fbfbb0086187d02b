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
# Passed on by 'make run' (--kafka HOST:PORT), and by 'make bench' (-o json, --only, --repetitions).
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
test: tools ## everything: unit tests with the race detector, end to end on real brokers, every benchmark once and short
	@failed=; \
	echo '== unit tests, with the race detector'; \
	$(MAKE) test-race || failed="$$failed test-race"; \
	echo '== allocations on the hot paths'; \
	$(MAKE) test-allocations || failed="$$failed test-allocations"; \
	echo '== end-to-end tests, on real brokers'; \
	$(MAKE) test-e2e || failed="$$failed test-e2e"; \
	echo '== every benchmark once and short: complete, and no more allocations than before'; \
	$(MAKE) bench-smoke || failed="$$failed bench-smoke"; \
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
	$(GO) test -tags e2e -count=1 -p 1 -timeout 10m -run '^TestReal_' ./connectors/... ./policies/... || failed=yes; \
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
docs: ## write the documentation pages that come from code and results anew
	@$(GO) generate ./qos ./test/grid ./test/policies ./bench/report

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (20s)
	@test/tools/fuzz.sh $(FUZZTIME)

# Where 'make bench' leaves its result, as data and, beside it, as a page with plots. The README is made from full.json there.
RESULT ?= bench/results/local/bench.json

.PHONY: bench
bench: tools build ## every scenario beside the plain limits, on a real Kafka: best with nothing else on the machine
	@mkdir -p $(dir $(RESULT))
	@$(GO) run ./test/tools/withbrokers bin/sluice bench --kafka '{kafka}' --mqtt '{mqtt}' --out $(RESULT) --html $(RESULT:.json=.html) $(ARGS)

.PHONY: bench-smoke
bench-smoke: tools build ## every scenario once and short: is everything complete, does nothing allocate more than it did
	@failed=; \
	$(GO) run ./bench/allocations || failed=yes; \
	$(GO) run ./test/tools/withbrokers bin/sluice bench --smoke --kafka '{kafka}' --mqtt '{mqtt}' $(ARGS) || failed=yes; \
	[ -z "$$failed" ]

.PHONY: bench-compare
bench-compare: build ## what RESULT (that of the last make bench) changed against BASE, and whether it may be chance
	@[ -n "$(BASE)" ] || { echo "say which result to compare with: make bench-compare BASE=base.json" >&2; exit 2; }
	@bin/sluice bench compare $(BASE) $(RESULT)

.PHONY: profile
profile: tools build ## CPU, allocation, mutex and block profiles of the worker: SCENARIO=http-post/kafka/auto PROFILES=DIR
	@[ -n "$(SCENARIO)" ] || { echo "say what to profile, as in make profile SCENARIO=http-post/kafka/auto; bin/sluice bench list names them" >&2; exit 2; }
	@dir=$${PROFILES:-$$(mktemp -d -t sluice-profiles-XXXXXX)}; \
	$(GO) run ./test/tools/withbrokers bin/sluice bench --only '^$(SCENARIO)$$' --repetitions 1 --messages 2000000 --profiles "$$dir" --kafka '{kafka}' --mqtt '{mqtt}' $(ARGS); \
	for f in "$$dir"/*.pprof; do echo "== $$f"; $(GO) tool pprof -top -nodecount 20 bin/sluice "$$f" 2>/dev/null; done
