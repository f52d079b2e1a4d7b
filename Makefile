# What a newcomer needs is "make run" and "make test"; "make help" lists the rest.

GO       ?= go
NODE     ?= node
FUZZTIME ?= 20s
NODES    ?= 4
SANDBOXES ?= 0
SEEDS    ?= 2000
CANISTER_SEEDS ?= 500
GIB      ?= 10
FIRST    ?= 1
CHROMIUM ?= /usr/bin/chromium

BIN     := bin/portico
WORKER  := bin/worker
SAMPLE  := build/sample

.PHONY: help run test e2e check race fuzz sim bench bench-replica bench-gateway bench-browser build worker extension sample example assets identity clean deps

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: build worker sample identity ## a local network with Internet Identity and a sample dapp, until Ctrl-C
	$(BIN) up --ii --sample $(SAMPLE)

build: ## the program bin/portico
	$(GO) build -o $(BIN) ./node

deps: node_modules/.package-lock.json

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --ignore-scripts
	@touch $@

worker: deps ## the service worker and the light client for browsers; prints the hash of each file
	$(NODE) web/ts/build.mjs $(WORKER)

extension: worker ## the browser extension, to load at chrome://extensions
	$(NODE) web/extension/build.mjs bin/extension $(WORKER)

assets: build/assets.wasm

build/assets.wasm: FORCE
	@mkdir -p build
	$(GO) run ./node/cdk/canister-link -o $@ -did web/assets/assets.did ./web/assets

identity: build/identity.wasm build/identity-archive.wasm.gz ## Internet Identity: its pages, its canister and the archive

build/identity.wasm: deps FORCE
	@mkdir -p build
	$(NODE) identity/page/build.mjs
	$(GO) run ./node/cdk/canister-link -o $@ -did identity/canister/identity.did ./identity/canister

build/identity-archive.wasm.gz: FORCE
	@mkdir -p build
	$(GO) run ./node/cdk/canister-link -o $@ -did identity/archive/archive.did ./identity/archive

sample: deps assets worker ## the sample dapp
	$(NODE) web/sample/build.mjs $(SAMPLE) build/assets.wasm $(WORKER)/package

example: deps ## the page of a web server off the network that takes log-ins with Internet Identity
	$(NODE) identity/example/build.mjs build/example

FORCE:

tested = build worker sample identity example chromium peers
clients = $(NODE) --test --test-concurrency=1 $(shell find lightclient gateway web node identity -name '*.test.mjs' -not -path '*/node_modules/*' | sort)

test: $(tested) ## everything: packages, specification vectors, real clients, browser
	$(GO) test ./...
	$(clients)

e2e: $(tested) ## of these the tests with real clients and a browser
	$(clients)

.PHONY: screenshots
screenshots: build worker identity chromium ## pictures of every page, light and dark, wide and narrow, in build/screenshots
	$(NODE) --test --test-concurrency=1 web/e2e/pages.test.mjs node/e2e/dashboard.test.mjs identity/e2e/looks.test.mjs

check: ## formatting, vet, staticcheck, house rules, short tests
	@test -z "$$($(GO) tool -modfile=.ci/tools.mod gofumpt -l gateway identity lightclient node web | tee /dev/stderr)"
	$(GO) vet ./...
	$(GO) tool -modfile=.ci/tools.mod staticcheck ./...
	$(GO) test -short ./...

race: ## the tests of what runs concurrently, under the race detector
	$(GO) test -race -short ./gateway/... ./node/live/... ./node/p2p/... ./node/api/... ./node/execution/... ./node/ingress/... ./lightclient ./identity

fuzz: ## every fuzz target for FUZZTIME
	$(GO) run ./.ci/fuzz -time $(FUZZTIME)

sim: ## SEEDS=n simulated subnets with faults, from seed FIRST=k on, and CANISTER_SEEDS=n with real canisters
	$(GO) test -count=1 -timeout 0 -run '^TestSeeds' -v ./node/sim -seeds $(SEEDS) -first $(FIRST)
	$(GO) test -count=1 -timeout 0 -run '^TestCanisterSeeds' -v ./node/sim -seeds $(CANISTER_SEEDS) -first $(FIRST)

.PHONY: conformance
conformance: build ## every behaviour of the interface specification, on NODES replicas with SANDBOXES processes each
	@mkdir -p build
	$(GO) test -c -o build/conformance ./node/conformance
	build/conformance -test.run TestConformance -test.timeout 15m -nodes $(NODES) -sandboxes $(SANDBOXES) -program $(BIN)

# Long: the first of its parts took 55 minutes on two cores that much else used. They can be run alone.
bench: bench-replica bench-gateway bench-browser ## the figures in the README, beside those of peers

bench-replica: build ## its part that needs neither peers nor a browser; GIB is the size of the largest state
	$(GO) test -run '^$$' -bench . -benchtime 1s ./lightclient/bls ./lightclient/certificate ./node/wasm ./node/live
	$(GO) test -run '^$$' -bench . -benchtime 20x ./node/state/heap
	$(GO) test -run '^$$' -bench . -benchtime 3x -timeout 30m ./node/state/store -store.gib $(GIB)
	$(GO) test -run '^$$' -bench HeightWithRealSignatures -benchtime 30x ./node/sim
	$(GO) run ./node/e2e/load -program $(BIN) -nodes 4 -clients 600
	$(GO) run ./node/e2e/load -program $(BIN) -nodes 1 -clients 64

bench-gateway: build sample peers ## its part beside nginx, and under load
	$(GO) run ./gateway/bench
	$(GO) run ./gateway/bench -load $(BIN) -sample $(SAMPLE)

bench-browser: build worker sample chromium ## its part in Chromium, and uploads
	$(NODE) web/e2e/bench-certificate.mjs
	$(NODE) web/e2e/bench-response.mjs
	$(NODE) web/e2e/bench-page.mjs
	$(NODE) web/sync/bench.mjs
	$(NODE) identity/loginpeer/bench.mjs

.PHONY: peers
peers: ## curl, wrk and nginx, which ask the gateway and are measured beside it, from Debian, if they are missing
	@(command -v curl && command -v wrk && command -v nginx) >/dev/null || (echo "installing curl, wrk and nginx for the tests of the gateway"; apt-get update -q && apt-get install -yq --no-install-recommends curl wrk nginx-light)

.PHONY: chromium
chromium: ## the browser that the tests use, from Debian, if it is missing
	@test -x $(CHROMIUM) || (echo "installing chromium for the browser tests"; apt-get update -q && apt-get install -yq --no-install-recommends chromium)

clean: ## what was built, and the local network's state
	rm -rf bin build .portico
