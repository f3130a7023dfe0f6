# Two commands do everything from a fresh clone: `make song` and `make test`.
# Needed: python3 (3.10 or newer), pip and make. Everything else goes into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
SONG ?= song.mid
SONG_OPTIONS ?= --style folk --key "D major" --meter 6/8 --bars 16 --seed 7
PYTEST_OPTIONS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help song test slow lint format types layers wheel samples bench clean

help:
	@echo "make song     compose $(SONG)            make test    the default test suite"
	@echo "make lint     ruff                        make types   mypy --strict"
	@echo "make layers   who may import whom         make wheel   dist/*.whl"
	@echo "make slow     the slow tests              make bench   what developers watch"
	@echo "make format   mend what ruff can mend     make samples write midi_samples/ again"
	@echo "make clean    remove what was built, .venv too"

# A Debian without python3-venv has no ensurepip: the pip on the machine then puts pip into the new environment.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "musegen needs Python 3.10 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
	  $(PYTHON) -m venv --clear --without-pip $(VENV) \
	  && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }

# What runs musegen, and what checks it besides: a song needs only the first.
$(VENV)/.installed: pyproject.toml constraints.txt scripts/hatch_build.py $(wildcard musegen/engine/*.c) musegen/engine/build.py | $(BIN)/python
	@echo "setting up $(VENV) (a few minutes the first time)" >&2
	@$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(PIP_INSTALL) -e '.[dev]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	@$(PIP_INSTALL) -e '.[dev,bench]'
	@touch $@

song: $(VENV)/.installed
	@$(BIN)/musegen compose $(SONG_OPTIONS) --force -o $(SONG)
	@$(BIN)/musegen info $(SONG)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow $(PYTEST_OPTIONS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(VENV)/.installed-dev
	$(BIN)/mypy

layers: $(VENV)/.installed-dev
	$(BIN)/lint-imports

wheel: $(VENV)/.installed-dev
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist

samples: $(VENV)/.installed
	$(BIN)/python scripts/make_samples.py

bench: $(VENV)/.installed-bench
	$(BIN)/python -m pytest -m bench $(PYTEST_OPTIONS) tests/bench

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
