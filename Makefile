# make demo | test | lint | docs | bench | scatter | clean: each sets up its own .venv first, as far as it needs it; that
# takes minutes once, then nothing.
PYTHON ?= python3
VENV   ?= .venv
PYTEST_ARGS ?=

SHELL       := bash
.SHELLFLAGS := -o pipefail -c

PY        := $(VENV)/bin/python
INSTALLED := $(VENV)/.graphkit-is-installed
STAMP     := $(VENV)/.graphkit-is-set-up
PIP       := $(PY) -m pip install -c constraints.txt
TELL      := { grep --line-buffered -v "already satisfied" || true; }

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint docs bench scatter clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: $(STAMP) ## virtual environment with the tested versions of everything

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "graphkit needs Python 3.11 or newer, but '$(PYTHON)' is `$(PYTHON) --version 2>&1`. Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "setting up $(VENV): graphkit and what it needs (minutes, once)"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PIP) -e . | $(TELL)
	@touch $@

$(STAMP): $(INSTALLED) scripts/install_scatter.sh
	@echo "setting up $(VENV): what tests, lint and documentation need (once)"
	@$(PIP) -e ".[dev,docs,ogb,tensorboard]" | $(TELL)
	@bash scripts/install_scatter.sh $(PY) cached
	@touch $@

scatter: $(STAMP) ## compile torch-scatter, about 5 minutes; everything works without it
	@bash scripts/install_scatter.sh $(PY)

demo: $(INSTALLED) ## train GCN and a graph-free MLP on minesweeper: table, picture and run folders in runs/demo
	@$(PY) -m graphkit.demo

test: $(STAMP) ## the default tests, with the examples in the docstrings
	@OMP_NUM_THREADS=1 $(PY) -m pytest -q -n auto --maxprocesses 8 $(PYTEST_ARGS)

lint: $(STAMP) ## style, types of the public surface, direction of imports
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo

docs: $(STAMP) ## documentation in docs/_build/html, checked; a warning is an error
	@rm -rf docs/_build/html docs/auto_gallery/searchindex*  # in which links of the gallery would be looked up as they were
	@$(PY) -m sphinx -W --keep-going -q -b html -d docs/_build/doctrees docs docs/_build/html
	@$(PY) scripts/check_docs.py docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(STAMP) ## speed ratios against stated opponents, written to benchmarks/results
	@$(PY) -m benchmarks.speed

clean: ## remove what was built; the environment, the data and the runs stay
	@rm -rf build dist docs/_build docs/api/generated .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find graphkit tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
