# Every target is a short command that can be typed by hand; `make help` lists them.
SHELL := /bin/bash -o pipefail
export CGO_ENABLED := 0
# The programs are built so for images; the same flags everywhere let tests and images share what was compiled.
# Symbols are for debuggers, and writing them takes as long as the rest of linking.
export GOFLAGS := -trimpath -ldflags=-s
export KO_CONFIG_PATH := $(CURDIR)/ko.yaml

TESTCLUSTER := cd test/cluster && go run .

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# Where the demo runs: light is this machine alone, full a real cluster on it (Debian, root), current the one that KUBECONFIG names.
CLUSTER := light

.PHONY: demo
demo: demo-$(CLUSTER) ## tell the story: push, promote, a bad version, roll back. CLUSTER=full: on a real cluster; current: on yours

.PHONY: demo-program
demo-program:
	@[ -e .build/bin/demo ] || echo "The first time, everything is compiled; README.md says how long that takes."
	@go run ./test/compile .build/bin/ ./test/demo ./cmd/lockstep

.PHONY: demo-light
demo-light: demo-program
	.build/bin/demo light

.PHONY: demo-full
demo-full: demo-program
	$(TESTCLUSTER) full up
	eval "$$($(TESTCLUSTER) full env)" && .build/bin/demo full

.PHONY: demo-current
demo-current: demo-program
	.build/bin/demo current

.PHONY: demo-down
demo-down: demo-down-$(CLUSTER) ## stop what the demo started; its data stays for the next start

.PHONY: demo-down-light
demo-down-light: demo-program
	.build/bin/demo light down

.PHONY: demo-down-full
demo-down-full:
	$(TESTCLUSTER) full down

# Many tests wait for something most of their time, so more of them run at once than there are cores. `make check`
# vets the code, which go test would do again.
GOTEST := go test -vet=off -p 3 -parallel 4

.PHONY: test
test: ## all tests that need neither root nor a full cluster
	$(TESTCLUSTER) light up
	$(GOTEST) -timeout 40m ./...
	cd test/cluster && $(GOTEST) -timeout 20m ./...
	cd examples/user-service && $(GOTEST) ./...
	cd examples/billing-service && $(GOTEST) ./...

.PHONY: race
race: ## the packages that start goroutines, with the race detector (needs a C compiler)
	$(TESTCLUSTER) light up
	CGO_ENABLED=1 $(GOTEST) -race -timeout 40m $$(git grep -lE '\bgo func|\.Go\(|AfterFunc\(' -- 'internal/*.go' ':!*_test.go' ':!*test/*.go' | xargs -n1 dirname | sort -u | sed 's|^|./|')

# How many seconds the fuzzers look, all together: half of them look at what comes
# from a Git server.
FUZZTIME := 120

# Without a bound on making inputs smaller, a fuzzer of long inputs does nothing
# else. Before Go 1.27 one that found nothing may fail at the end of its time
# (go.dev/issue/75804): only what it wrote down is a finding.
.PHONY: fuzz
fuzz: ## let each fuzzer look for what breaks it; what is found goes to its testdata/fuzz
	@mkdir -p .build
	@targets=$$(git grep -h --untracked -o 'func Fuzz[A-Za-z]*' -- '*_test.go' | wc -l); \
	git grep --untracked -o 'func Fuzz[A-Za-z]*' -- '*_test.go' | sed 's|/[^/]*:func | |' | while read -r folder target; do \
		{ go test ./$$folder -run '^$$' -fuzz "^$$target$$" -fuzzminimizetime 10x -fuzztime $$(( ($(FUZZTIME) + targets - 1) / targets ))s 2>&1 \
			|| echo failed; } | tee .build/fuzz.log; \
		tail -n 1 .build/fuzz.log | grep -qx failed || continue; \
		grep -A 1 -e "^--- FAIL: $$target " .build/fuzz.log | grep -qx '    context deadline exceeded' && ! grep -q -e 'Failing input' -e panic .build/fuzz.log \
			|| exit 1; \
	done

# Of the scenarios on the cluster, those that each change runs: a push to every environment, what must not be
# released, what must not be believed, and the way back. Behind them, our own cases of conformance.
E2E := TestPromotionBetweenEnvironments|TestFailingTest|TestRow|TestRunnerAndClusterAgree

.PHONY: e2e
e2e: ## the pipelines on a real cluster on this machine (Debian, root)
	$(TESTCLUSTER) full up
	eval "$$($(TESTCLUSTER) full env)" && CONFORMANCE=0 go test -vet=off -tags e2e -count=1 -timeout 60m -v -p 1 -run '$(E2E)' ./test/e2e ./test/conformance

.PHONY: e2e-all
e2e-all: ## every scenario on that cluster
	$(TESTCLUSTER) full up
	eval "$$($(TESTCLUSTER) full env)" && go test -vet=off -tags e2e -count=1 -timeout 90m -v ./test/e2e

.PHONY: nightly
nightly: mutations e2e-all conformance bench-quick ## what takes too long for each change: see CONTRIBUTING.md
	$(MAKE) fuzz FUZZTIME=600
	$(MAKE) demo CLUSTER=full

.PHONY: conformance
conformance: ## every example of Tekton in the runner and on a real cluster on this machine, compared
	$(TESTCLUSTER) full up
	eval "$$($(TESTCLUSTER) full env)" && CONFORMANCE=all go test -vet=off -tags e2e -count=1 -timeout 90m -v ./test/conformance

.PHONY: check
check: ## formatting, vet, generated files
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not formatted: $$unformatted"; exit 1; }
	@large=$$(git ls-files -z | xargs -0 -I{} find {} -maxdepth 0 -size +1M); [ -z "$$large" ] || { echo "larger than 1 MiB, was it built?: $$large"; exit 1; }
	go vet ./...
	go vet -tags e2e ./test/e2e ./test/conformance
	cd test/cluster && go vet ./...
	go mod tidy -diff
	go run ./tasks/generate --check
	@echo "govulncheck: not checked (its database is on the public network); where that is reachable: go run golang.org/x/vuln/cmd/govulncheck@latest ./..."

.PHONY: generate
generate: ## write the StepActions, Tasks and tables that follow from the programs' contracts
	go run ./tasks/generate

.PHONY: mutations
mutations: ## take every guard out, one at a time, and want its test red
	MUTATIONS=all go test -vet=off -count=1 -timeout 180m -v ./test/mutations

.PHONY: images
images: ## build all programs as images into KO_DOCKER_REPO
	$(TESTCLUSTER) build tools
	eval "$$($(TESTCLUSTER) full env)" && ko build --base-import-paths --sbom none ./steps/...

.PHONY: bench-runner
bench-runner: ## what a step costs in the runner and in a pod, on a real cluster on this machine
	$(TESTCLUSTER) full up
	eval "$$($(TESTCLUSTER) full env)" && go test -tags e2e -run '^$$' -bench Step -benchtime 5x ./test/conformance

.PHONY: bench-quick
bench-quick: ## every benchmark on a tiny repository, with few runs: whether they work; writes nothing
	$(TESTCLUSTER) light up
	eval "$$($(TESTCLUSTER) light env)" && go run ./bench --quick

.PHONY: bench
bench: ## the benchmarks side by side; writes bench/RESULTS.md
	$(TESTCLUSTER) light up
	eval "$$($(TESTCLUSTER) light env)" && go run ./bench
