# Needs Python >= 3.11, git and make; everything else goes into .venv at the versions of constraints.txt.
#   make reproduce            the figures          (ARGS=--quick for a three-minute pass)
#   make test                 the tests            (ARGS="-m slow" for the long ones)
#   make PYTHON=python3.12 …  with another interpreter

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out
ARGS ?=
STAMP := $(VENV)/.installed-test
DEV_STAMP := $(VENV)/.installed-dev
DOCS_STAMP := $(VENV)/.installed-docs
BENCH_STAMP := $(VENV)/.installed-bench
LAB_STAMP := $(VENV)/.installed-notebooks
# Small tensors: a second thread costs more than it brings, and results stay comparable.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help install reproduce test lint docs links index images mutants bench lab clean distclean

help:  ## Say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

install: $(STAMP)  ## Create .venv with the pinned versions

reproduce: $(STAMP)  ## Extract, select, answer, and draw the figures into out/
	$(BIN)/mitheory reproduce --out $(OUT) $(ARGS)

test: $(STAMP)  ## Run the tests
	$(BIN)/python -m pytest -n auto $(ARGS)

lint: $(DEV_STAMP)  ## Check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(DOCS_STAMP)  ## Build the site into docs/_build/html: notebooks run, figures drawn, links checked
	$(BIN)/sphinx-build -q -W --keep-going docs docs/_build/html

links: $(DOCS_STAMP)  ## Visit every link of the site that leads out of it (needs a network)
	$(BIN)/sphinx-build -q -b linkcheck docs docs/_build/linkcheck

index: $(STAMP)  ## Rewrite docs/equations.md, docs/claims.md and the import diagrams from the code
	$(BIN)/python docs/equations.py
	$(BIN)/python docs/claims.py
	$(BIN)/python docs/architecture.py

images: $(STAMP)  ## Draw the pictures of the README anew, from the finished run in out/
	$(BIN)/python -m paper_figures.readme $(OUT) docs/images

bench: $(BENCH_STAMP)  ## Time every selector against what one would use instead
	$(BIN)/python -m benchmarks --out $(OUT)/benchmarks $(ARGS)

lab: $(LAB_STAMP)  ## Open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks $(ARGS)

mutants: $(DEV_STAMP)  ## Change the theory one thing at a time: which changes do the tests notice?
	$(BIN)/mutmut run --max-children 2
	$(BIN)/python docs/mutants.py

clean:  ## Remove caches and built documentation
	rm -rf build dist *.egg-info docs/_build docs/gallery docs/reference docs/notebooks docs/theory/ledger.md docs/guides.md
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean  ## Remove the environment and the written figures too
	rm -rf $(VENV) $(OUT)

# The environment alone: an interpreter that is too old is told so before anything is downloaded.
$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "mitheory needs Python >= 3.11; there is no $(PYTHON). Point PYTHON at one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "mitheory needs Python >= 3.11; $(PYTHON) is %d.%d.%d. Point PYTHON at another: make PYTHON=python3.12 ..." % v[:3])'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	@touch $@

$(DEV_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test,dev]'
	@touch $@

$(DOCS_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]'
	@touch $@

$(BENCH_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test,bench]'
	@touch $@

$(LAB_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[notebooks]'
	@touch $@
