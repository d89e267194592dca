# Two commands: `make demo` and `make test`. Both need only make, git and Python 3.11 or newer.
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
OUT := out/demo

.PHONY: help install demo test test-all test-cluster lint bench clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "dyadid needs Python 3.11 or newer; say make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test,dev,cluster]'
	@touch $@

install: $(VENV)/.installed  ## create .venv and install the engine

demo: $(VENV)/.installed  ## run the main jobs on the embedded data and say where the report is
	$(BIN)/dyadid run jobs/*.yaml --out $(OUT)

lint: $(VENV)/.installed-test  ## style, types, layers
	$(BIN)/ruff check engine tests
	$(BIN)/ruff format --check engine tests
	$(BIN)/mypy
	$(BIN)/lint-imports

# Two test processes on two cores: a third thread of BLAS would only wait.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

test: lint  ## everything a commit must pass, in minutes
	$(PYTEST) -m 'not slow and not cluster'

test-all: lint  ## the above and the long Monte Carlo and scale tests
	$(PYTEST) -m 'not cluster'

test-cluster: $(VENV)/.installed-test  ## runs on a real Slurm and on three hosts, as root; installs both
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/cluster -m cluster

bench: $(VENV)/.installed-test  ## the paired benchmarks behind the README's claims
	@for script in tests/benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

clean:  ## remove what was built
	rm -rf $(VENV) build dist out *.egg-info
