# Holdfast. `make` lists the targets, `make check` is all that CI runs.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help

# One list of modules: go.work. The tools have modules of their own, outside of
# it, so that their dependencies do not become ours.
MODULES = $(shell go list -m -f '{{.Dir}}')
IMAGES  = $(filter-out $(CURDIR),$(MODULES))
TOOLS  := $(CURDIR)/bin/tools

FUZZTIME ?= 3s
PKG      ?= work
BENCH    ?= .
COUNT    ?= 1

# The race detector needs a C compiler. CI has one; without one the tests still run.
RACE = $(if $(or $(CI),$(shell command -v "$$(go env CC)")),-race)

##@ Use it

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Run the whole system in one process; needs nothing but Go
	@[ -x bin/standalone ] || echo "building (a few minutes the first time, seconds later)"
	@go build -o bin/standalone ./services/standalone/cmd/standalone
	@exec bin/standalone

.PHONY: demo
demo: ## Play the story with real processes, or against a running system (ORIGIN=http://127.0.0.1:8080)
	@go run ./tests/demo $(if $(ORIGIN),-origin $(ORIGIN))

.PHONY: build
build: ## Build every program into bin/
	@go build -trimpath -o bin/ work
	@ls -1 bin | grep -v '^tools$$' | sed 's,^,bin/,'

##@ Work on it

.PHONY: test
test: servers $(TOOLS)/gotestsum ## Run all tests, with the race detector (PKG=./pkg/id ARGS='-run Name')
	$(if $(RACE),,@echo "NO C COMPILER: the tests run without the race detector")
	@$(TOOLS)/gotestsum --format pkgname --format-hide-empty-pkg -- $(RACE) $(ARGS) $(PKG)

.PHONY: quick
quick: ## Run the tests that take no time, without the race detector
	@go test -short work

.PHONY: fmt
fmt: $(TOOLS)/gofumpt ## Format the Go files
	@$(TOOLS)/gofumpt -w .

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## Run the linters (ARGS=--fix repairs what they can)
	@$(TOOLS)/golangci-lint run $(ARGS) $(addsuffix /...,$(MODULES))

.PHONY: gen
gen: ## Write again what is generated from the documents in proto/ and from the code
	@for module in $(MODULES); do go generate -C "$$module" ./... || exit 1; done

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (3s)
	@tools/fuzz $(FUZZTIME)

.PHONY: bench
bench: $(TOOLS)/benchstat ## Run the benchmarks (BENCH=name, COUNT=10) into bin/bench.txt and summarize them
	@mkdir -p bin
	@go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(PKG) | tee bin/bench.txt | grep -E '^(Benchmark|FAIL|---)' || true
	@$(TOOLS)/benchstat bin/bench.txt

.PHONY: vuln
vuln: $(TOOLS)/govulncheck ## Look for known vulnerabilities in what the programs call (needs the database online)
	@for module in $(IMAGES); do $(TOOLS)/govulncheck -C "$$module" ./... || exit 1; done

.PHONY: servers
servers: ## Install the Redis and PostgreSQL that the tests start for themselves
	@tools/install-test-servers

.PHONY: tidy
tidy: ## Tidy every go.mod and bring all modules to one set of versions
	@go work sync
	@for module in $(MODULES); do GOWORK=off go -C "$$module" mod tidy || exit 1; done

.PHONY: clean
clean: ## Remove what was built
	@rm -rf bin

##@ Trust it

.PHONY: check
check: fmt-check house modules-check gen-check lint alone fuzz test ## Everything CI runs

.PHONY: house
house: ## Check the rules of the house (who imports whom, headers, sizes, names)
	@go test .

.PHONY: fmt-check
fmt-check: $(TOOLS)/gofumpt
	@unformatted=$$($(TOOLS)/gofumpt -l .); \
	if [[ -n "$$unformatted" ]]; then echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi

# The next two targets do the work in place and compare: a difference fails,
# and what is then on disk is the remedy.
.PHONY: modules-check
modules-check:
	@tools/unchanged tidy 'go.mod and go.sum differ from what make tidy writes'

.PHONY: gen-check
gen-check:
	@tools/unchanged gen 'generated files differ from what make gen writes'

.PHONY: alone
alone: ## Vet each module without the workspace, as its image builds it
	@for module in $(IMAGES); do GOWORK=off go vet -C "$$module" ./... || exit 1; done

# Tools are built once, from pinned versions, and again when those change.
$(TOOLS)/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	@echo "building golangci-lint (a minute or two, once)"
	@GOWORK=off go build -C tools/lint -trimpath -ldflags '-s -w' -o $(TOOLS)/ tool
	@touch $@

$(TOOLS)/%: tools/go.mod tools/go.sum
	@echo "building $*"
	@GOWORK=off go build -C tools -trimpath -ldflags '-s -w' -o $(TOOLS)/ $(shell awk '/\/$*$$/ {print $$1; exit}' tools/go.mod)
	@touch $@
