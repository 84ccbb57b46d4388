# One command for each thing; `make` alone lists them. Needs make and Python >= 3.11, no more.

VENV ?= .venv
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 \
	&& $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& command -v $$p && break; done)
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PACKAGE := $(VENV)/.package
DEV := $(VENV)/.dev
SOURCE := aiops tests benchmarks
SERVERS := prometheus prometheus-alertmanager prometheus-node-exporter victoria-metrics

# Kernels as plain Python. Only there does numpy warn of inf - inf, and only compiled code refuses
# strided arrays and wrong dtypes.
UNCOMPILED = NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -q -W ignore::RuntimeWarning \
	-k 'not strided and not dtype' $$(grep -rl --include='test_*.py' naive_ tests/unit)

.DEFAULT_GOAL := help
.PHONY: help run demo test kernels check format docs bench servers clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  ARGS="..." is handed to run, demo and test; PYTHON=... picks the interpreter'

run: $(PACKAGE) ## start the service with its data in ./data
	$(BIN)/aiops serve --data-dir data $(ARGS)

demo: $(PACKAGE) ## start the service with a simulated fleet that misbehaves
	$(BIN)/aiops demo $(ARGS)

test: $(DEV) servers ## run all tests
	$(BIN)/python -m pytest $(ARGS)

kernels: $(DEV) ## run the kernels' tests as plain Python
	$(UNCOMPILED)

check: $(DEV) servers ## everything that has to pass: format, lint, types, tests
	$(BIN)/ruff format --check $(SOURCE)
	$(BIN)/ruff check $(SOURCE)
	$(BIN)/mypy
	$(BIN)/python -m pytest
	$(UNCOMPILED)

format: $(DEV) ## format the source and mend what lint can mend
	$(BIN)/ruff format $(SOURCE)
	$(BIN)/ruff check --fix $(SOURCE)

docs: $(DEV) ## write the generated pages in config/
	$(BIN)/python -m aiops.config_reference
	$(BIN)/python -m tests.metrics_page

bench: $(DEV) ## run the benchmarks, one JSON line each
	@set -e; for file in benchmarks/bench_*.py; do \
		$(BIN)/python -m benchmarks.$$(basename $$file .py); \
	done

servers: # what the end-to-end tests talk to; without them those tests are skipped
	@.ci/debian-packages --optional $(SERVERS)

clean: ## remove environment, caches and builds; ./data stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(SOURCE) -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: installed again only when the list of dependencies has changed.

$(PACKAGE): pyproject.toml | $(BIN)/pip
	$(PIP) -e .
	@touch $@

$(DEV): pyproject.toml | $(BIN)/pip
	$(PIP) -e '.[dev]'
	@touch $@ $(PACKAGE)

# Debian splits ensurepip off into python3-venv; without it a venv has no pip.
$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "no Python >= 3.11 found; install one" \
		"(apt-get install python3 python3-venv) or give PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || .ci/debian-packages python3-venv
	$(PYTHON) -m venv $(VENV)
