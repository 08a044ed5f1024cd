# The gate: `make gate` runs every step that a change has to pass, and `make STEP` runs
# one of them. All that the steps install goes to target/ci.

AJV := 8.20.0
AJV_FORMATS := 3.0.1
BUF := 1.75.0
COMMON_PROTOS := 1.76.0
DENY := 0.20.2
FUZZ := 0.13.2
GO := 1.26.8
GO_SHA256 := 30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7
GRPCIO := 1.85.1
GRPCIO_GENERATOR := 1.62.3
GRPCURL := 1.8.9
HAR_SCHEMA := 2.0.0
KUBERNETES_VALIDATE := 1.37.0
KUSTOMIZE := 5.0.3
MODELS_CERT_MANAGER := 4.4.4
MODELS_PROMETHEUS := 6.0.0
MYPY := 1.19.1
PLAYWRIGHT := 1.65.1
PROTOC_GEN_GO := 1.36.11
PROTOC_GEN_GO_GRPC := 1.6.1
PYRIGHT := 1.1.414
STATICCHECK := 0.8.2
TYPESCRIPT := 5.9.3

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

# Absolute, since some steps run in another folder.
export CARGO_TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
TOOLS := $(CURDIR)/target/ci
export BUF_CACHE_DIR := $(TOOLS)/buf-cache
export PATH := $(TOOLS)/bin:$(TOOLS)/node_modules/.bin:$(PATH)

PYTHON := $(TOOLS)/venv/bin/python
GO_ENV := GOBIN=$(TOOLS)/bin GOPATH=$(TOOLS)/go GOCACHE=$(TOOLS)/go-cache GOFLAGS="-modcacherw -buildvcs=false"
GO_INSTALL := $(GO_ENV) go install
PYTHON_CLIENT := clients/python/pyproject.toml $(shell find clients/python/src -name '*.py' -o -name '*.pyi')
# The environment of the web examples. Their client hides the package that protoc generates.
WEB := $(TOOLS)/web

# Steps that share compiled dependencies are next to each other.
STEPS := format lint client server fuzz doc package deny contract breaking test simulate compare \
	interop conformance python go typescript examples browser deploy prometheus image

.PHONY: gate $(STEPS) fuzz_run generate go_stubs handlers manifests mutations python_stubs rendered \
	typescript_tools
.NOTPARALLEL:

gate:
	@for step in $(STEPS); do \
	  printf '\n== %s\n' "$$step"; \
	  start=$$SECONDS; \
	  $(MAKE) --no-print-directory "$$step"; \
	  printf '== %s: %s s\n' "$$step" "$$((SECONDS - start))"; \
	done
	@printf '\n== all steps passed\n'

format:
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml

lint:
	cargo clippy --locked --all-targets --all-features -- -D warnings

# Without dev-dependencies, which would turn on features that the library lacks.
client server:
	cargo clippy --locked --lib --no-default-features --features $@ -- -D warnings
	cargo clippy --locked --examples --no-default-features --features $@ -- -D warnings

# With the profile of the package, so that both share compiled dependencies.
fuzz:
	cargo check --locked --manifest-path fuzz/Cargo.toml \
	  --config 'profile.dev.package."*".opt-level=2' \
	  --config 'profile.dev.package."*".debug=false'

# Runs each fuzz target for this many seconds, in a release build. A failed target does not
# keep the others from running. Inputs are kept in target/fuzz.
FUZZ_SECONDS := 3600
FUZZ_TARGETS := $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
fuzz_run: $(TOOLS)/fuzz-$(FUZZ)
	cargo +nightly fuzz build
	@status=0; \
	for target in $(FUZZ_TARGETS); do \
	  printf '\n== %s\n' "$$target"; \
	  dict=fuzz/$$target.dict; \
	  if [ -e "$$dict" ]; then dict=-dict=$$dict; else dict=; fi; \
	  corpus=$(CARGO_TARGET_DIR)/fuzz/$$target; \
	  mkdir -p $$corpus; \
	  cargo +nightly fuzz run "$$target" $$corpus -- $$dict -max_total_time=$(FUZZ_SECONDS) \
	    -artifact_prefix=$$corpus- -timeout=10 -malloc_limit_mb=64 -print_final_stats=1 || status=1; \
	done; \
	exit $$status

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib

# cargo's own verification would compile many dependencies again, and optimise them. This
# checks the packaged files with the dependencies of the steps before.
package:
	cargo publish --dry-run --locked --no-verify --allow-dirty
	rm -rf $(CARGO_TARGET_DIR)/package $(TOOLS)/package
	cargo package --quiet --locked --no-verify --allow-dirty
	mkdir -p $(TOOLS)/package
	tar -xzf $(CARGO_TARGET_DIR)/package/*.crate -C $(TOOLS)/package --strip-components 1
	cd $(TOOLS)/package && cargo check --locked --bins --examples

deny: $(TOOLS)/deny-$(DENY)
	cargo deny --locked check bans licenses sources

contract: $(TOOLS)/buf-$(BUF)
	buf lint

breaking: $(TOOLS)/buf-$(BUF)
	.ci/breaking

test:
	cargo test --locked

# Clients, replicas and origins in a simulated network: seeds with faults, and some of them
# twice, since the same seed has to give the same run. Tests of the package build it.
simulate:
	cargo run --locked --example simulate -- --seeds 1000
	cargo run --locked --example simulate -- --seeds 100 --twice

# Breaks rules of the service, and shows after how many seeds the simulation notices. It takes
# about an hour.
mutations:
	python3 tests/simulation/mutations.py

# The comparison in its short form, with the dependencies of the tests.
compare:
	cargo bench --locked --profile dev --bench compare -- --short

# Another language calls the service, and the README's commands work as printed. Tests of
# the package build the binary.
interop: $(TOOLS)/venv/grpcio-$(GRPCIO) $(TOOLS)/grpcurl-$(GRPCURL) $(TOOLS)/buf-$(BUF) \
	$(TOOLS)/python-newest $(TOOLS)/go-$(GO) typescript_tools
	cargo test --locked --no-run --test contract
	$(PYTHON) tests/interop/fetch.py $(CARGO_TARGET_DIR)/debug/fetchd proto
	$(GO_ENV) $(PYTHON) tests/interop/readme.py $(CARGO_TARGET_DIR)/debug/fetchd . \
	  $(TOOLS)/python-newest/bin/python
	$(TOOLS)/python-newest/bin/python tests/interop/credentials.py $(CARGO_TARGET_DIR)/debug/fetchd .
	$(PYTHON) tests/interop/log.py $(CARGO_TARGET_DIR)/debug/fetchd .
	$(PYTHON) tests/interop/rollout.py $(CARGO_TARGET_DIR)/debug/fetchd .

# All clients pass the same cases.
conformance: $(TOOLS)/venv/grpcio-$(GRPCIO) $(TOOLS)/python-newest $(TOOLS)/go-$(GO) typescript_tools
	cargo test --locked --no-run --test contract
	cargo build --locked --example conformance
	cd clients/go && $(GO_ENV) go build -o $(TOOLS)/bin/conformance-go ./internal/conformance
	$(PYTHON) tests/conformance/run.py $(CARGO_TARGET_DIR)/debug/fetchd . \
	  --client rust=$(CARGO_TARGET_DIR)/debug/examples/conformance \
	  --client go=$(TOOLS)/bin/conformance-go \
	  --client typescript="node clients/typescript/dist-tests/conformance.js" \
	  --client python="$(TOOLS)/python-newest/bin/python clients/python/tests/conformance.py" \
	  --client asyncio="$(TOOLS)/python-newest/bin/python clients/python/tests/conformance.py --asyncio"

# The Python client works with the oldest Python and dependencies that it supports and with the
# newest, has right types, and its generated code is that of the contract.
python: $(TOOLS)/python-oldest $(TOOLS)/python-newest $(TOOLS)/pyright-$(PYRIGHT) python_stubs
	cargo test --locked --no-run --test contract
	diff -r -x __pycache__ $(TOOLS)/python-stubs/fetchd/v1 clients/python/src/fetchd/v1
	diff -r -x __pycache__ $(TOOLS)/python-stubs/fetchd/internal clients/python/src/fetchd/internal
	cd clients/python && for age in oldest newest; do \
	  FETCHD=$(CARGO_TARGET_DIR)/debug/fetchd $(TOOLS)/python-$$age/bin/python -m pytest -q -p no:cacheprovider; \
	done
	cd clients/python && $(TOOLS)/python-newest/bin/mypy --cache-dir $(TOOLS)/mypy src tests
	cd clients/python && pyright --pythonpath $(TOOLS)/python-newest/bin/python

python_stubs: $(TOOLS)/python-generator-$(GRPCIO_GENERATOR)
	rm -rf $(TOOLS)/python-stubs
	mkdir -p $(TOOLS)/python-stubs
	$(TOOLS)/python-generator/bin/python clients/python/generate.py $(TOOLS)/python-stubs

# The Go client and its example work, and its stubs are those of the contract.
go: $(TOOLS)/go-$(GO) $(TOOLS)/staticcheck-$(STATICCHECK) go_stubs
	cargo test --locked --no-run --test contract
	diff -r $(TOOLS)/go-stubs/clients/go/fetchdv1 clients/go/fetchdv1
	for module in clients/go examples/go_cli; do \
	  echo "== $$module"; \
	  cd $(CURDIR)/$$module; \
	  diff <(gofmt -d .) /dev/null; \
	  $(GO_ENV) go mod tidy -diff; \
	  $(GO_ENV) go vet ./...; \
	  $(GO_ENV) staticcheck ./...; \
	  $(GO_ENV) FETCHD=$(CARGO_TARGET_DIR)/debug/fetchd go test -race -parallel 16 ./...; \
	done

go_stubs: $(TOOLS)/buf-$(BUF) $(TOOLS)/go-$(GO) \
	$(TOOLS)/protoc-gen-go-$(PROTOC_GEN_GO)-$(PROTOC_GEN_GO_GRPC)
	rm -rf $(TOOLS)/go-stubs
	buf generate --template clients/go/buf.gen.yaml --output $(TOOLS)/go-stubs

# The TypeScript client and its example work, its generated code is that of the contract, and
# its README is right. npm installs the package in an empty folder.
typescript: typescript_tools
	cargo test --locked --no-run --test contract
	rm -rf $(TOOLS)/typescript
	node clients/typescript/scripts/generate.js $(TOOLS)/typescript
	diff -r $(TOOLS)/typescript clients/typescript/generated
	cd clients/typescript && FETCHD=$(CARGO_TARGET_DIR)/debug/fetchd npm test
	cd clients/typescript && FETCHD=$(CARGO_TARGET_DIR)/debug/fetchd npm run test:readme
	cd examples/typescript_cli && npm ci --silent --no-fund --no-audit
	cd examples/typescript_cli && FETCHD=$(CARGO_TARGET_DIR)/debug/fetchd npm test

# Also builds the client and its tests.
typescript_tools:
	cd clients/typescript && npm ci --silent --no-fund --no-audit && npx tsc -p tests

# The web examples have right types, and work in each of their servers as printed.
examples: $(WEB)/examples $(WEB)/mypy-$(MYPY)
	cargo test --locked --no-run --test contract
	for script in slow_origin flask_app/app fastapi_app/app; do \
	  $(WEB)/bin/python -m mypy --strict --cache-dir $(TOOLS)/mypy examples/$$script.py; \
	done
	$(WEB)/bin/python tests/interop/examples.py $(CARGO_TARGET_DIR)/debug/fetchd .

# Compares ways in which a web handler fetches many slow URLs. It takes some minutes.
handlers: $(WEB)/examples $(WEB)/handlers
	cargo build --locked --release
	$(WEB)/bin/python benches/handlers/main.py $(CARGO_TARGET_DIR)/release/fetchd

# The pages that people see work in a browser, which loads nothing from anywhere else.
browser: $(TOOLS)/playwright-$(PLAYWRIGHT) $(TOOLS)/har-schema-$(HAR_SCHEMA)-$(AJV) $(WEB)/examples
	cargo test --locked --no-run --test contract
	node tests/browser/report.mjs $(CARGO_TARGET_DIR)/debug/fetchd .
	node tests/browser/admin.mjs $(CARGO_TARGET_DIR)/debug/fetchd .
	node tests/browser/flask.mjs $(CARGO_TARGET_DIR)/debug/fetchd .
	node tests/browser/fastapi.mjs $(CARGO_TARGET_DIR)/debug/fetchd .

# The manifests are valid, right and current, and the binary takes their settings.
deploy: manifests
	cargo test --locked --no-run --test contract
	$(PYTHON) tests/deploy/check.py $(CARGO_TARGET_DIR)/debug/fetchd . $(TOOLS)

# A real Prometheus scrapes replicas under load, and answers the queries of the dashboard
# and the alerts.
prometheus: $(TOOLS)/venv/validate-$(KUBERNETES_VALIDATE)
	cargo test --locked --no-run --test contract
	$(PYTHON) tests/prometheus/check.py $(CARGO_TARGET_DIR)/debug/fetchd .

# Writes deploy/rendered/ anew after a change in deploy/.
rendered: manifests
	$(PYTHON) tests/deploy/check.py none . $(TOOLS) --write

manifests: $(TOOLS)/venv/validate-$(KUBERNETES_VALIDATE) \
	$(TOOLS)/models-$(MODELS_PROMETHEUS)-$(MODELS_CERT_MANAGER)-$(TYPESCRIPT)
	@command -v kubectl >/dev/null || command -v kustomize >/dev/null || { \
	  echo "install kustomize $(KUSTOMIZE)"; \
	  $(GO_INSTALL) sigs.k8s.io/kustomize/kustomize/v5@v$(KUSTOMIZE); \
	}

# The containers share a network namespace that has nothing but loopback. Nothing is left
# when the test ends.
image:
	cargo test --locked --no-run --test contract
	tests/image/build $(TOOLS)/image
	unshare --net --mount --pid --fork --kill-child --mount-proc \
	  python3 tests/image/run.py $(TOOLS)/image $(CARGO_TARGET_DIR)/debug/fetchd

# Writes src/proto/ and the generated code of the clients anew after a change in proto/. `make test`
# and the steps of the clients fail if it is stale.
generate: go_stubs python_stubs typescript_tools
	FETCHD_REGENERATE=1 cargo test --locked --test contract
	cp -r $(TOOLS)/python-stubs/fetchd clients/python/src/
	cp $(TOOLS)/go-stubs/clients/go/fetchdv1/* clients/go/fetchdv1/
	node clients/typescript/scripts/generate.js

# The tools. Each version has its own stamp, so that a new one replaces the old.
$(TOOLS)/deny-$(DENY):
	cargo install --locked --quiet --force --root $(TOOLS) --target-dir $(TOOLS)/build \
	  --config profile.release.lto=false --config profile.release.opt-level=1 \
	  cargo-deny@$(DENY)
	touch $@

$(TOOLS)/fuzz-$(FUZZ):
	cargo install --locked --quiet --force --root $(TOOLS) --target-dir $(TOOLS)/build \
	  --config profile.release.lto=false --config profile.release.opt-level=1 \
	  cargo-fuzz@$(FUZZ)
	touch $@

$(TOOLS)/buf-$(BUF):
	mkdir -p $(TOOLS)
	npm install --silent --no-fund --no-audit --prefix $(TOOLS) @bufbuild/buf@$(BUF)
	touch $@

$(TOOLS)/venv/grpcio-$(GRPCIO):
	python3 -m venv $(TOOLS)/venv
	$(TOOLS)/venv/bin/pip install --quiet grpcio==$(GRPCIO) grpcio-tools==$(GRPCIO) \
	  googleapis-common-protos==$(COMMON_PROTOS)
	touch $@

# The client as it is now, in an empty environment, with its newest dependencies.
$(TOOLS)/python-newest: $(PYTHON_CLIENT)
	rm -rf $@ clients/python/build
	"$$(.ci/pythons | tail -1)" -m venv $@
	$@/bin/pip install --quiet ./clients/python
	$@/bin/pip install --quiet './clients/python[test]'

# With the oldest that it supports. They need a Python that is no newer than 3.12.
$(TOOLS)/python-oldest: $(PYTHON_CLIENT)
	rm -rf $@ clients/python/build
	"$$(.ci/pythons | head -1)" -m venv $@
	$@/bin/pip install --quiet './clients/python[test]' \
	  "grpcio==$$($@/bin/python -c 'import sys; print("1.60.0" if sys.version_info < (3, 13) else "1.68.1")')" protobuf==4.25.0

# Code of later versions runs only with a protobuf that is at least as new.
$(TOOLS)/python-generator-$(GRPCIO_GENERATOR):
	rm -rf $(TOOLS)/python-generator
	"$$(.ci/pythons | head -1)" -m venv $(TOOLS)/python-generator
	$(TOOLS)/python-generator/bin/pip install --quiet grpcio-tools==$(GRPCIO_GENERATOR) setuptools==80.9.0
	touch $@

$(TOOLS)/pyright-$(PYRIGHT):
	mkdir -p $(TOOLS)
	npm install --silent --no-fund --no-audit --prefix $(TOOLS) pyright@$(PYRIGHT)
	touch $@

$(WEB)/mypy-$(MYPY):
	python3 -m venv $(WEB)
	$(WEB)/bin/pip install --quiet mypy==$(MYPY)
	touch $@

# With the client as it is now.
$(WEB)/examples: $(PYTHON_CLIENT) $(wildcard examples/*/requirements.txt)
	python3 -m venv $(WEB)
	rm -rf clients/python/build
	$(WEB)/bin/pip install --quiet --force-reinstall --no-deps ./clients/python
	$(WEB)/bin/pip install --quiet ./clients/python \
	  -r examples/flask_app/requirements.txt -r examples/fastapi_app/requirements.txt
	touch $@

$(WEB)/handlers: benches/handlers/requirements.txt
	python3 -m venv $(WEB)
	$(WEB)/bin/pip install --quiet -r $<
	touch $@

$(TOOLS)/venv/validate-$(KUBERNETES_VALIDATE):
	python3 -m venv $(TOOLS)/venv
	$(TOOLS)/venv/bin/pip install --quiet kubernetes-validate==$(KUBERNETES_VALIDATE)
	touch $@

$(TOOLS)/models-$(MODELS_PROMETHEUS)-$(MODELS_CERT_MANAGER)-$(TYPESCRIPT):
	mkdir -p $(TOOLS)
	npm install --silent --no-fund --no-audit --prefix $(TOOLS) \
	  @kubernetes-models/prometheus-operator@$(MODELS_PROMETHEUS) \
	  @kubernetes-models/cert-manager@$(MODELS_CERT_MANAGER) typescript@$(TYPESCRIPT)
	touch $@

# Without a browser of its own: the system has one.
$(TOOLS)/playwright-$(PLAYWRIGHT):
	mkdir -p $(TOOLS)
	npm install --silent --no-fund --no-audit --ignore-scripts --prefix $(TOOLS) \
	  playwright-core@$(PLAYWRIGHT)
	touch $@

$(TOOLS)/har-schema-$(HAR_SCHEMA)-$(AJV):
	mkdir -p $(TOOLS)
	npm install --silent --no-fund --no-audit --ignore-scripts --prefix $(TOOLS) \
	  har-schema@$(HAR_SCHEMA) ajv@$(AJV) ajv-formats@$(AJV_FORMATS)
	touch $@

$(TOOLS)/grpcurl-$(GRPCURL):
	$(GO_INSTALL) github.com/fullstorydev/grpcurl/cmd/grpcurl@v$(GRPCURL)
	touch $@

# Debian's Go is too old for the client's tools. The steps above make do with it.
$(TOOLS)/go-$(GO):
	.ci/go $(GO) $(GO_SHA256) $(TOOLS)
	touch $@

$(TOOLS)/staticcheck-$(STATICCHECK): $(TOOLS)/go-$(GO)
	$(GO_INSTALL) honnef.co/go/tools/cmd/staticcheck@v$(STATICCHECK)
	touch $@

$(TOOLS)/protoc-gen-go-$(PROTOC_GEN_GO)-$(PROTOC_GEN_GO_GRPC): $(TOOLS)/go-$(GO)
	$(GO_INSTALL) google.golang.org/protobuf/cmd/protoc-gen-go@v$(PROTOC_GEN_GO)
	$(GO_INSTALL) google.golang.org/grpc/cmd/protoc-gen-go-grpc@v$(PROTOC_GEN_GO_GRPC)
	touch $@
