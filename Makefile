# make test is what CI runs and what a change must pass.

GOLANGCI_LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOTESTSUM     = gotest.tools/gotestsum@v1.13.0
CYCLONEDX     = github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
GITLEAKS      = github.com/zricethezav/gitleaks/v8@v8.30.1
GOVULNCHECK   = golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: test
test: tools fresh format vet lint race few-mutants sbom ## everything that must hold before a change is merged
	@echo "make test: generated code is fresh; format, vet, lint and all tests pass; the list of components is whole"

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/latchkey; lists each package as it is compiled
	go build -v -o bin/latchkey ./cmd/latchkey

.PHONY: sbom
sbom: build ## build bin/latchkey and the list of its components, bin/latchkey.cdx.json (CycloneDX)
	go run $(CYCLONEDX) bin -json -licenses -assert-licenses -output bin/latchkey.cdx.json bin/latchkey
	@go version -m bin/latchkey | awk '$$1 == "dep" { print $$2 }' | while read -r module; do \
		grep -q "\"name\": \"$$module\"" bin/latchkey.cdx.json || { echo "bin/latchkey.cdx.json lacks $$module" >&2; exit 1; }; \
	done

.PHONY: release
release: ## build archives for six platforms, lists of components and checksums in build/release: the same bytes for the same commit
	go run ./scripts/release

.PHONY: release-check
release-check: ## build the release twice in folders of its own, compare, and write docs/measured/release.txt: about half an hour
	scripts/prove-release full

.PHONY: generate
generate: ## regenerate code from openapi.yaml
	go generate ./...

.PHONY: tools
tools: ## check for the programs that the tests need; as root on Debian, install them
	@.ci/tools

# Compares content, not commits, so that a change to openapi.yaml can be tested
# before it is committed.
GENERATED = git ls-files --cached --others --exclude-standard -z -- '*.gen.go' '*.postman_collection.json' | xargs -0 -r sha256sum

.PHONY: fresh
fresh: ## fail if generated code differs from openapi.yaml
	@before="$$($(GENERATED))"; go generate ./... && \
	if [ "$$before" != "$$($(GENERATED))" ]; then \
		echo "Generated code was stale and has been written anew: commit it." >&2; git status --short -- '*.gen.go' '*.postman_collection.json' >&2; exit 1; \
	fi

.PHONY: format
format: ## fail if a file is not formatted by gofmt
	@unformatted="$$(git ls-files --cached --others --exclude-standard -z -- '*.go' | xargs -0 gofmt -l)"; \
	if [ -n "$$unformatted" ]; then echo "Run gofmt -w on:" >&2; echo "$$unformatted" >&2; exit 1; fi

.PHONY: vet
vet: ## go vet
	go vet ./...

.PHONY: lint
lint: ## golangci-lint with .golangci.yml
	go run $(GOLANGCI_LINT) run --allow-serial-runners

.PHONY: race
race: ## all tests, with the race detector; a run that fails ends with the lines that say why
	@mkdir -p build
	go run $(GOTESTSUM) --format pkgname --jsonfile build/tests.json -- -race -timeout 20m ./... || \
	{ awk -F '"' 'NR == FNR { if ($$8 == "fail") failed[$$12 $$16]; next } \
		$$8 == "output" && ($$12 $$16 in failed) && $$20 ~ /_test\.go:[0-9]+:|panic:|DATA RACE/ { print $$12, $$16 ":", $$20 }' \
		build/tests.json build/tests.json | tail -n 40 >&2; exit 1; }

.PHONY: races
races: ## run all rounds of the races between people and sessions; make test runs a tenth
	go test ./service -count=1 -run 'Parallel|EachOther|During' -args -long

.PHONY: faults
faults: tools ## break things on purpose at full size and print the results: about an hour, half of it a soak test
	go test ./faults -v -count=1 -timeout 3h -args -full

.PHONY: forged
forged: tools ## flood a server with forged tokens and write docs/measured/forged.txt: about ten minutes
	go test ./faults -run TestForgedFlood -v -count=1 -timeout 1h -args -full

.PHONY: alarms
alarms: operations-tools ## make every fault that has an alarm, and write when it fires and ends into docs/measured/alarms.txt: about six minutes
	go test -tags operations ./faults -run TestAlarms -v -count=1 -timeout 1h -args -full

.PHONY: bench
bench: tools ## measure every speed goal, as a table: about twenty minutes on an idle machine
	go test ./bench -v -count=1 -timeout 1h -args -full

.PHONY: mutants
mutants: tools ## change the code in one place at a time and count which changes the tests notice: 300 changes, at most two hours
	go run ./scripts/mutants -n 300 -out docs/measured/mutants.txt

# The seed is fixed, so that a change is judged by its own tests and not by the draw:
# the same seed draws the same mutants of all lines that did not change.
.PHONY: few-mutants
few-mutants: ## the same for 20 changes of the packages without a database, in about half a minute
	go run ./scripts/mutants -n 20 -suite=false -seed 1 -goal 85 -packages api/permission,domain

.PHONY: operations-tools
operations-tools: tools ## check for the programs that test-operations needs; as root on Debian, install them
	@.ci/tools operations

.PHONY: test-operations
test-operations: operations-tools ## build a release and the image, start it, render the chart, and make the faults that have alarms; test-documents runs this, too
	scripts/prove-operations

.PHONY: test-documents
test-documents: tools test-operations ## follow the README's recipe for a resource in a copy of the repository, and test it
	examples/documents/prove

.PHONY: screenshots
screenshots: tools ## save every page of the console, light and dark, wide and narrow, in build/screenshots; take the pictures of docs
	go test -count=1 -tags screenshots -run TestScreenshots ./console

.PHONY: scanner-rules
scanner-rules: tools ## have gitleaks itself find tokens by the rules of latchkey scanner-rules; needs the network once
	scripts/prove-scanner-rules $(GITLEAKS)

.PHONY: vulncheck
vulncheck: ## look for known vulnerabilities; needs the network, so make test does not run it
	go run $(GOVULNCHECK) ./...

.PHONY: client-tools
client-tools: ## check for the programs that the targets below need; as root on Debian, install them
	@.ci/tools clients

.PHONY: lint-contract
lint-contract: client-tools ## lint openapi.yaml with redocly and spectral
	contract/lint

.PHONY: clients
clients: client-tools ## generate clients in Go, TypeScript, Python and Java into build/clients
	contract/generate

.PHONY: test-guides
test-guides: client-tools ## run every code block of every page
	contract/guides.py

.PHONY: test-sdk
test-sdk: client-tools ## hold every SDK to the rules of docs/local.md; test-clients runs this, too
	sdk/test

.PHONY: measure-sdk
measure-sdk: client-tools ## measure a verification over HTTP beside one from memory, and write docs/measured/sdk.txt
	sdk/measure

.PHONY: test-clients
test-clients: client-tools ## lint the contract and test the clients against a running server
	contract/test
