# The gate: `make gate` runs every step that a change has to pass, and `make STEP` runs
# one of them. All that the steps install goes to target/ci.

AJV := 8.20.0
AJV_FORMATS := 3.0.1
BUF := 1.75.0
DENY := 0.20.2
GO := 1.26.8
GO_SHA256 := 30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7
GRPCIO := 1.85.1
GRPCURL := 1.8.9
HAR_SCHEMA := 2.0.0
KUBERNETES_VALIDATE := 1.37.0
KUSTOMIZE := 5.0.3
MODELS_CERT_MANAGER := 4.4.4
MODELS_PROMETHEUS := 6.0.0
MYPY := 2.4.1
PLAYWRIGHT := 1.65.1
PROTOC_GEN_GO := 1.36.11
PROTOC_GEN_GO_GRPC := 1.6.1
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
GO_ENV := GOBIN=$(TOOLS)/bin GOPATH=$(TOOLS)/go GOCACHE=$(TOOLS)/go-cache GOFLAGS=-modcacherw
GO_INSTALL := $(GO_ENV) go install

# Steps that share compiled dependencies are next to each other.
STEPS := format lint client server fuzz doc package deny contract breaking test compare \
	interop conformance python go typescript examples browser deploy prometheus image

.PHONY: gate $(STEPS) generate go_stubs handlers manifests python_stubs rendered typescript_tools
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

# The comparison in its short form, with the dependencies of the tests.
compare:
	cargo bench --locked --profile dev --bench compare -- --short

# Another language calls the service, and the README's commands work as printed. Tests of
# the package build the binary.
interop: $(TOOLS)/venv/grpcio-$(GRPCIO) $(TOOLS)/grpcurl-$(GRPCURL) $(TOOLS)/buf-$(BUF)
	cargo test --locked --no-run --test contract
	$(PYTHON) tests/interop/fetch.py $(CARGO_TARGET_DIR)/debug/fetchd proto
	$(PYTHON) tests/interop/readme.py $(CARGO_TARGET_DIR)/debug/fetchd .
	$(PYTHON) tests/interop/credentials.py $(CARGO_TARGET_DIR)/debug/fetchd .
	$(PYTHON) tests/interop/log.py $(CARGO_TARGET_DIR)/debug/fetchd .
	$(PYTHON) tests/interop/rollout.py $(CARGO_TARGET_DIR)/debug/fetchd .

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

# Also builds the client.
typescript_tools:
	cd clients/typescript && npm ci --silent --no-fund --no-audit

# The web examples have right types, and work in each of their servers as printed.
examples: $(TOOLS)/venv/examples $(TOOLS)/venv/mypy-$(MYPY)
	cargo test --locked --no-run --test contract
	for script in slow_origin flask_app/app fastapi_app/app; do \
	  $(PYTHON) -m mypy --strict --cache-dir $(TOOLS)/mypy examples/$$script.py; \
	done
	$(PYTHON) tests/interop/examples.py $(CARGO_TARGET_DIR)/debug/fetchd .

# Compares ways in which a web handler fetches many slow URLs. It takes some minutes.
handlers: $(TOOLS)/venv/examples $(TOOLS)/venv/handlers
	cargo build --locked --release
	$(PYTHON) benches/handlers/main.py $(CARGO_TARGET_DIR)/release/fetchd

# The pages that people see work in a browser, which loads nothing from anywhere else.
browser: $(TOOLS)/playwright-$(PLAYWRIGHT) $(TOOLS)/har-schema-$(HAR_SCHEMA)-$(AJV) $(TOOLS)/venv/examples
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
generate: go_stubs typescript_tools
	FETCHD_REGENERATE=1 cargo test --locked --test contract
	cp $(TOOLS)/go-stubs/clients/go/fetchdv1/* clients/go/fetchdv1/
	node clients/typescript/scripts/generate.js

# The tools. Each version has its own stamp, so that a new one replaces the old.
$(TOOLS)/deny-$(DENY):
	cargo install --locked --quiet --force --root $(TOOLS) --target-dir $(TOOLS)/build \
	  --config profile.release.lto=false --config profile.release.opt-level=1 \
	  cargo-deny@$(DENY)
	touch $@

$(TOOLS)/buf-$(BUF):
	mkdir -p $(TOOLS)
	npm install --silent --no-fund --no-audit --prefix $(TOOLS) @bufbuild/buf@$(BUF)
	touch $@

$(TOOLS)/venv/grpcio-$(GRPCIO):
	python3 -m venv $(TOOLS)/venv
	$(TOOLS)/venv/bin/pip install --quiet grpcio==$(GRPCIO) grpcio-tools==$(GRPCIO)
	touch $@

$(TOOLS)/venv/mypy-$(MYPY):
	python3 -m venv $(TOOLS)/venv
	$(TOOLS)/venv/bin/pip install --quiet mypy==$(MYPY)
	touch $@

# With the client as it is now.
$(TOOLS)/venv/examples: $(shell find clients/python -name '*.py' -o -name pyproject.toml) \
	$(wildcard examples/*/requirements.txt)
	python3 -m venv $(TOOLS)/venv
	rm -rf clients/python/build
	$(TOOLS)/venv/bin/pip install --quiet --force-reinstall --no-deps ./clients/python
	$(TOOLS)/venv/bin/pip install --quiet ./clients/python \
	  -r examples/flask_app/requirements.txt -r examples/fastapi_app/requirements.txt
	touch $@

$(TOOLS)/venv/handlers: benches/handlers/requirements.txt
	python3 -m venv $(TOOLS)/venv
	$(TOOLS)/venv/bin/pip install --quiet -r $<
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
