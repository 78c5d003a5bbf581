# Everything a person or CI does here. `make` alone says what there is.
# Needs make 3.81 or newer, git and Python 3.11-3.13; PYTHON=/path/to/python names another one.

.DEFAULT_GOAL := help
PORT ?= 3000
BIN := .venv/bin
# In the order of tests/conftest.py, the longest files first, so that no worker is left with one of them at the end.
PYTEST := $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 $(if $(UPGRADE),--upgrade)

# The Dagster instance is the folder of dagster.yaml; nothing here reports to anyone.
export DAGSTER_HOME := $(CURDIR)
export DAGSTER_DISABLE_TELEMETRY := yes
export GX_ANALYTICS_ENABLED := false
export DVC_NO_ANALYTICS := 1
export PYTHON
# Where it is set, each of the hundreds of processes that the tests start compiles every module of ours anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install install-core install-dev install-torch demo dev test test-long test-torch soak check format bench lock clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' Makefile | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

install: install-core ## make .venv with the locked dependencies
	@echo "Installed in .venv. Next: make demo"

install-core:
	@sh scripts/install core

install-dev:
	@sh scripts/install dev

install-torch:
	@sh scripts/install torch

demo: install-core ## run the whole job on an example: ingest, check, train, judge, deploy
	@$(BIN)/penstock demo bike_demand

dev: install-core ## open the Dagster web UI on http://127.0.0.1:3000 (PORT=...), with the reports it links to
	@$(BIN)/penstock dev --port $(PORT)

test: install-dev ## run the tests, but for those of test-long and test-torch
	$(PYTEST) -rs -m 'not long and not torch' $(ARGS)

test-long: install-dev ## run the tests that take minutes each: an installation from nothing, the README on real data
	$(PYTEST) -rs -m 'long and not torch' $(ARGS)

test-torch: install-torch ## run the tests of the extra `torch`, in .venv-torch: the same packages and PyTorch
	$(subst $(BIN)/,.venv-torch/bin/,$(PYTEST)) -rs -m torch $(ARGS)

soak: install-dev ## let every fault strike every operation of the storage at POINTS=200 points; about an hour
	PENSTOCK_TEST_SOAK=$(or $(POINTS),200) $(BIN)/pytest -n 2 --dist load -m slow $(ARGS) tests/integration/test_crash_matrix.py

check: install-dev ## format, lint, types, import contracts and the fast tests: before every commit
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	@echo "types, told at the end, beside the fast tests"; \
	$(BIN)/basedpyright >.venv/.types 2>&1 & types=$$!; $(PYTEST) -m 'not slow and not torch' --hypothesis-profile quick $(ARGS); tests=$$?; \
	wait $$types; types=$$?; cat .venv/.types; exit $$((tests + types))

format: install-dev ## let ruff format and fix what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install-dev ## run every benchmark (QUICK=1: small sizes)
	@set -e; for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BIN)/python $$script $(if $(QUICK),--quick); done

lock: install-dev ## write the lock files anew from pyproject.toml (UPGRADE=1: newest versions)
	$(LOCK) pyproject.toml --extra build -o requirements.lock
	$(LOCK) pyproject.toml --extra build --extra dev --constraints requirements.lock -o requirements-dev.lock
	echo 'uv>=0.9' | $(LOCK) - -o requirements-uv.lock

clean: ## remove .venv, .venv-torch and every cache; .penstock (data, models, keys) stays
	rm -rf .venv .venv-torch .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
