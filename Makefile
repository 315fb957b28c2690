# Everything here needs Go alone, except `e2e`, which wants the AWS CLI, boto3, moto
# and what `.ci/clients` installs.
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 20s

.DEFAULT_GOAL := help
.PHONY: help build demo test race race-rounds faults e2e lint vulncheck bench fuzz catalog detectors clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/sallyport
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/sallyport ./cmd/sallyport

demo: build ## the whole path in one process against a simulated AWS: read, mask, ask, deny, record
	./bin/sallyport demo

test: ## all tests; those with real clients are skipped, and say so, where a client is missing
	$(GO) test -timeout 20m ./...

# e2e and faults start processes that are built without the detector; generators have
# one goroutine. So have the searches below, which the detector makes twenty times slower
# and sees nothing in: they run without it in `test`.
ONE_GOROUTINE = TestModel|TestCallModel|TestStreamEqualsFind|TestEveryOperationIsAllowedAndNoNeighbour|TestEveryScopeHoldsDeadlineAndPerimeter

race: ## all tests of more than one goroutine under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout 20m -skip '^($(ONE_GOROUTINE))$$' $$($(GO) list ./... | grep -v -e '/e2e$$' -e '/faults$$' -e '/gen$$')

faults: ## 10,000 requests while gateway, NATS and recorder are killed at random
	SALLYPORT_FAULTS=10000 $(GO) test ./faults -run TestRandomKills -count=1 -v -timeout 90m

race-rounds: ## 10,000 rounds of approve, deny and expire at once: one end each, one forward at most
	SALLYPORT_RACE_ROUNDS=10000 $(GO) test ./approvals -run 'TestRaces$$' -count=1 -v -timeout 30m

e2e: build ## the tests with real clients only; a missing client fails
	SALLYPORT_REQUIRE_CLIENTS=1 $(GO) test -count=1 -timeout 20m -v ./e2e/...

lint: ## golangci-lint, at the version pinned in tools/go.mod
	$(GO) tool -modfile=tools/go.mod golangci-lint run ./...

vulncheck: ## govulncheck (needs https://vuln.go.dev)
	$(GO) tool -modfile=tools/go.mod govulncheck ./...

bench: ## speed and memory: every benchmark once, with allocations
	$(GO) test -run '^$$' -bench . -benchmem -count=1 ./...

fuzz: ## every fuzz target for FUZZTIME (default 20s) each
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "== $$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; done

catalog: ## rebuild the API catalog from the botocore that is installed; says what changed
	@python3 -c 'import botocore; print("botocore", botocore.__version__)' || { echo "catalog: botocore is needed: pip install botocore"; exit 1; }
	@mkdir -p bin/catalog && rm -rf bin/catalog/*
	PYTHONDONTWRITEBYTECODE=1 python3 awsapi/catalog/build/build.py --out bin/catalog
	$(GO) run ./awsapi/catalog/gen -data bin/catalog -out awsapi/catalog/tables

detectors: ## convert gitleaks' rules anew: GITLEAKS=v8.x.y
	$(GO) run ./mask/detect/gen -version $(GITLEAKS) -out mask/detect/rules \
	  -module "$$($(GO) mod download -json github.com/zricethezav/gitleaks/v8@$(GITLEAKS) | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')"

clean: ## remove build products
	rm -rf bin
