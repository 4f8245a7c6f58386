# Every target sets itself up in $(VENV); nothing but Python (3.11 or newer) and make has to be there.
#
#   make demo     the slot swap, for real        make lint    ruff, mypy --strict, basedpyright
#   make test     all tests                      make soak    the long runs
#   make docs     write docs/dpm.md              make package sdist and wheel in dist/
#   make clean    take it all away again

PYTHON ?= python3
VENV ?= .venv
# pytest's own options, for example: make test PYTEST_ARGS="-k slot -x"
PYTEST_ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Azurite, where .ci/run or `make servers` installed it.
export PATH := $(CURDIR)/.servers/node_modules/.bin:$(PATH)

.PHONY: demo test lint soak docs package servers clean

demo: $(VENV)/.core
	$(BIN)/dpm demo slot-swap

test: $(VENV)/.test
	$(BIN)/python -m pytest --numprocesses auto $(PYTEST_ARGS)

soak: $(VENV)/.test
	$(BIN)/python -m pytest -m soak --timeout 3600 $(PYTEST_ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python

docs: $(VENV)/.test
	$(BIN)/python docs/write_help.py

package: $(VENV)/.core
	$(PIP) build
	$(BIN)/python -m build --outdir dist .

servers: .servers/node_modules/.bin/azurite

clean:
	rm -rf .venv* .servers build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@echo "setting up $(VENV) with $(PYTHON)"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	@echo "installing what the tests use (a minute or two)"
	$(PIP) --editable '.[test]'
	@touch $@

$(VENV)/.lint: $(VENV)/.test
	$(PIP) --editable '.[test,lint]'
	@touch $@

.servers/node_modules/.bin/azurite:
	npm install --prefix .servers --no-save --no-audit --no-fund --silent azurite@3
