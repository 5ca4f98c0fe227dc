# `make` lists the targets. Everything is installed into .venv from hash-pinned locks, with uv if it is there, else with pip.

VENV := .venv
PY := $(VENV)/bin/python
RUNTIME := $(VENV)/.runtime
DEVELOPMENT := $(VENV)/.development
# One environment for each lock in locks/clients: what the original clients run in, since they exclude each other.
CLIENTS := .clients
NODE := $(CLIENTS)/node
# What spans and metrics are sent to: large, so only `make collectors` installs it, each by its lock.
COLLECTORS := .collectors
# Atheris, apart from what it fuzzes: it is large, and there is not one for every machine.
FUZZ := .fuzz
ENVIRONMENTS := $(patsubst locks/clients/%.lock,$(CLIENTS)/%/.installed,$(wildcard locks/clients/*.lock))
RECEIVERS := $(patsubst locks/collectors/%.lock,$(COLLECTORS)/%/.installed,$(wildcard locks/collectors/*.lock))
ARGS ?=
# A file of tests at a time for each processor, four at most; none with `make test AT_ONCE= ARGS=--pdb`.
AT_ONCE ?= -n logical --maxprocesses 4 --dist loadfile
FORMS ?= full

# The first Python of 3.11 to 3.14; `make PYTHON=/path/to/python3.12 install` names another.
SUPPORTED := import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python3.14 python; do \
	"$$python" -c '$(SUPPORTED)' 2>/dev/null && echo "$$python" && break; done)
UV ?= $(shell uv --version >/dev/null 2>&1 && echo uv)
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	--no-annotate
PROJECT := --override locks/overrides.txt pyproject.toml
NPM := bin/npm --ignore-scripts --no-audit --no-fund --loglevel error

ifeq ($(UV),)
PIP := $(PY) -m pip --disable-pip-version-check install --quiet
COMPILED :=
PIP_FUZZ = $(PIP) --upgrade --target $(FUZZ)
MAKE_CLIENT = $(PY) -m venv --clear --without-pip $(@D)
PIP_CLIENT = $(PY) -m pip --disable-pip-version-check --python $(@D)/bin/python install --quiet
else
PIP := $(UV) pip install --quiet --python $(PY)
COMPILED := --compile-bytecode
PIP_FUZZ = $(PIP) --target $(FUZZ)
MAKE_CLIENT = $(UV) venv --quiet --clear --python $(PY) $(@D)
PIP_CLIENT = $(UV) pip install --quiet $(COMPILED) --python $(@D)/bin/python
endif

# npm notes where each package asks for money; a lock names no address.
WITHOUT_FUNDING := const fs = require("fs"), path = process.argv[1], lock = JSON.parse(fs.readFileSync(path)); \
	for (const one of Object.values(lock.packages)) delete one.funding; \
	fs.writeFileSync(path, JSON.stringify(lock, null, 2) + "\n")

.DEFAULT_GOAL := help
.PHONY: help install serve test faults clients collectors check format bench wheel sbom schema keys lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(RUNTIME) ## Make .venv with parea-proxy in it

serve: $(RUNTIME) ## Serve on 127.0.0.1:4000; options: make serve ARGS="--port 8080"
	@$(VENV)/bin/parea-proxy serve $(ARGS)

test: $(DEVELOPMENT) clients ## Run the tests; options: make test ARGS="-k config"
	$(PY) -m pytest $(AT_ONCE) $(ARGS)

faults: $(DEVELOPMENT) clients ## Run the long forms of the fault tests and write docs/reliability.md
	@$(MAKE) --silent --no-print-directory $(FUZZ)/.installed || echo "Atheris cannot be installed here: P7 does without"
	FAULTS=$(FORMS) $(PY) -m pytest -m fault $(ARGS)

clients: $(DEVELOPMENT) ## Make .clients, the environments of the original clients, which the tests run
	@$(MAKE) --silent --no-print-directory --jobs 3 $(ENVIRONMENTS) $(NODE)/.modules

collectors: $(DEVELOPMENT) ## Test spans and metrics with Phoenix, MLflow, Rotel and Prometheus, which it installs (1.4 GB)
	@$(MAKE) --silent --no-print-directory --keep-going $(RECEIVERS) $(COLLECTORS)/prometheus/.installed || \
		echo "not all of them can be installed here: the tests of the others are skipped"
	$(PY) -m pytest tests/collectors $(ARGS)

check: $(DEVELOPMENT) ## Lint, format, types, layers
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(DEVELOPMENT) ## Format and sort the imports
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(DEVELOPMENT) ## Measure this gateway beside its peers; options: make bench ARGS="--quick"
	$(PY) -m tests.bench $(ARGS)

wheel: $(RUNTIME) sbom ## Build the wheel into dist: the same bytes wherever and whenever it is built
	$(PY) -m hatchling build --target wheel --directory dist

sbom: $(RUNTIME) ## Write the wheel's bill of materials (CycloneDX) into dist, from the lock
	mkdir -p dist
	$(PY) locks/sbom.py pyproject.toml locks/requirements.lock > dist/parea_proxy.cdx.json.new
	mv dist/parea_proxy.cdx.json.new dist/parea_proxy.cdx.json

schema: $(RUNTIME) ## Write the JSON Schema of the config anew
	$(PY) -m proxy.config.schema > proxy/config/schema.json.new
	mv proxy/config/schema.json.new proxy/config/schema.json

keys: $(DEVELOPMENT) ## Write the list of LiteLLM's config keys anew
	LITELLM_LOCAL_MODEL_COST_MAP=True $(PY) -m tests.config.litellm_keys > proxy/config/litellm.keys.json.new
	mv proxy/config/litellm.keys.json.new proxy/config/litellm.keys.json

lock: ## Resolve the locks anew (needs uv); upgrade with: make lock ARGS=--upgrade
	$(COMPILE) $(PROJECT) --group build $(ARGS) -o locks/requirements.lock
	$(COMPILE) $(PROJECT) --group build --extra otel $(ARGS) -o locks/otel.lock
	$(COMPILE) $(PROJECT) --group build --group dev $(ARGS) -o locks/development.lock
	for names in locks/fuzz.in locks/clients/*.in locks/collectors/*.in; do $(COMPILE) $$names $(ARGS) -o "$${names%.in}.lock" || exit; done
	for names in locks/peers/*.in; do \
		$(COMPILE) --override locks/peers/overrides.txt $$names $(ARGS) -o "$${names%.in}.lock" || exit; done
	@$(MAKE) --silent --no-print-directory $(NODE)/.installed
	for folder in locks/clients/node locks/peers/portkey; do \
		(cd $(NODE) && $(NPM) --prefix ../../$$folder --package-lock-only --omit-lockfile-registry-resolved install) && \
		$(NODE)/bin/node -e '$(WITHOUT_FUNDING)' $$folder/package-lock.json || exit; done

clean: ## Remove .venv, .clients, caches and builds; data stays
	rm -rf $(VENV) $(CLIENTS) $(COLLECTORS) $(FUZZ) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .bench
	find proxy tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@if [ -z "$(PYTHON)" ]; then echo "no Python 3.11 to 3.14 found: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; fi
ifeq ($(UV),)
	$(PYTHON) -m venv --clear $(VENV)
else
	$(UV) venv --quiet --clear --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
endif

$(RUNTIME): locks/requirements.lock pyproject.toml | $(PY)
	$(PIP) $(COMPILED) --no-deps --require-hashes -r locks/requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@$(PY) -m compileall -q proxy
	@touch $@

$(DEVELOPMENT): locks/development.lock $(RUNTIME)
	$(PIP) --no-deps --require-hashes -r locks/development.lock
	@touch $@

define MAKE_ENVIRONMENT
@echo "making $(@D)"
$(MAKE_CLIENT)
$(PIP_CLIENT) --no-deps --only-binary :all: --require-hashes -r $<
@touch $@
endef

$(CLIENTS)/%/.installed: locks/clients/%.lock | $(PY)
	$(MAKE_ENVIRONMENT)

$(COLLECTORS)/%/.installed: locks/collectors/%.lock | $(PY)
	$(MAKE_ENVIRONMENT)

# Debian's package, which apt has checked; it is unpacked here and not installed.
$(COLLECTORS)/prometheus/.installed:
	mkdir -p $(@D)
	cd $(@D) && apt-get --quiet --quiet download prometheus && dpkg-deb --extract prometheus_*.deb .
	@touch $@

$(FUZZ)/.installed: locks/fuzz.lock | $(DEVELOPMENT)
	$(PIP_FUZZ) --no-deps --only-binary :all: --require-hashes -r $<
	@touch $@

$(NODE)/.modules: locks/clients/node/package-lock.json $(NODE)/.installed
	cp locks/clients/node/package.json locks/clients/node/package-lock.json $(NODE)
	cd $(NODE) && $(NPM) ci
	@touch $@
