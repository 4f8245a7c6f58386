# Every target sets itself up in $(VENV); nothing but Python (3.11 or newer) and make has to be there.
#
#   make demo     the slot swap, for real        make lint    ruff, mypy --strict, basedpyright
#   make demo-substitution  a planted key, for real
#   make test     all tests                      make soak    the long runs
#   make bench    speed, beside its peers        make test-windows  under a Python for Windows, through Wine
#   make test-frameworks                         test suites of other projects, with ours in place
#   make test-recipes                            applications of other projects, with the recipes of docs/recipes.md
#   make test-sanitized                          the compiled core under gcc's sanitizers
#   make docs     the site, in build/site        make help-page  the help texts in docs/dpm.md
#   make pictures the pictures in docs/pictures, with Chromium
#   make package  sdist and wheel in dist/       make clean   take it all away again

PYTHON ?= python3
VENV ?= .venv
# pytest's own options, for example: make test PYTEST_ARGS="-k slot -x"
PYTEST_ARGS ?=
# Words in the names of benchmarks, for example: make bench BENCH=session
BENCH ?=
# Suites of other projects, for example: make test-frameworks SUITES="flask-login channels"
SUITES ?=

ON_WINDOWS := $(filter Windows_NT,$(OS))
BIN := $(VENV)/$(if $(ON_WINDOWS),Scripts,bin)
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
# uv where it can be had, otherwise pip
INSTALL := $(PYTHON) make_environment.py install $(VENV)
# Azurite, where .ci/run or `make servers` installed it.
export PATH := $(CURDIR)/.servers/node_modules/.bin:$(PATH)

.PHONY: demo demo-substitution test lint soak bench test-windows test-frameworks test-recipes test-sanitized docs help-page pictures package servers windows-packages clean

demo: $(VENV)/.core
	$(BIN)/dpm demo slot-swap

demo-substitution: $(VENV)/.core
	$(BIN)/dpm demo key-substitution

test: $(VENV)/.test
	$(BIN)/python -m pytest --numprocesses auto $(PYTEST_ARGS)

soak: $(VENV)/.test
	$(BIN)/python -m pytest -m soak --timeout 3600 $(PYTEST_ARGS)

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks $(BENCH)

test-frameworks: $(VENV)/.test
	$(BIN)/python -m tests.upstream.run $(SUITES)

test-recipes: $(VENV)/.test
	$(BIN)/python -m pytest -m recipes tests/recipes $(PYTEST_ARGS)

test-sanitized: $(VENV)/.test
	$(BIN)/python tests/sanitized.py $(PYTEST_ARGS)

test-windows: $(VENV)/.test $(if $(ON_WINDOWS),,windows-packages)
	$(BIN)/python -m pytest tests/test_windows.py tests/repositories/test_windows_registry.py \
	    tests/repositories/test_windows_files.py tests/at_rest/test_dpapi.py tests/default_location/test_windows_account.py $(PYTEST_ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --jobs auto --quiet docs build/site
	@echo "the documentation is in build/site/index.html"

help-page: $(VENV)/.test
	$(BIN)/python docs/write_help.py

pictures: $(VENV)/.test
	DPM_REQUIRE_SERVERS=1 $(BIN)/python -m pytest tests/browser/test_pictures.py --write-pictures

package: $(VENV)/.core
	$(INSTALL) build
	$(BIN)/python -m build --outdir dist .

servers: .servers/node_modules/.bin/azurite

windows-packages: .servers/windows-packages/pytest

clean:
	rm -rf .venv* .servers build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis dpmiddleware/*/*.so dpmiddleware/*/*/*.so

$(BIN)/python:
	@echo "setting up $(VENV) with $(PYTHON)"
	@$(PYTHON) make_environment.py create $(VENV)

# What an editable install is made of: a change of these is a new install.
INSTALLED := pyproject.toml hatch_build.py $(wildcard dpmiddleware/*/*.c dpmiddleware/*/*/*.c)

$(VENV)/.core: $(INSTALLED) | $(BIN)/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.test: $(INSTALLED) | $(BIN)/python
	@echo "installing what the tests use (a minute or two)"
	$(INSTALL) --editable '.[test]'
	@touch $@

$(VENV)/.docs: $(INSTALLED) | $(BIN)/python
	$(INSTALL) --editable '.[docs]'
	@touch $@

$(VENV)/.lint: $(VENV)/.test
	$(INSTALL) --editable '.[test,lint]'
	@touch $@

.servers/node_modules/.bin/azurite:
	npm install --prefix .servers --no-save --no-audit --no-fund --silent azurite@3

# pip on Linux places wheels for Windows, and reads their dependencies as Linux': so they are named one by one.
.servers/windows-packages/pytest: | $(BIN)/python
	$(PIP) --platform win_amd64 --python-version 3.11 --only-binary :all: --target .servers/windows-packages \
	    cryptography cffi pycparser itsdangerous werkzeug markupsafe starlette anyio idna sniffio typing-extensions \
	    pytest pluggy iniconfig packaging pygments colorama pytest-timeout hypothesis sortedcontainers attrs
