# Two commands: `make demo` and `make test`. Both need only make, git and Python 3.11, 3.12 or 3.13.
.DEFAULT_GOAL := help
PYTHON ?= $(shell for name in python3.11 python3; do $$name -c '' 2>/dev/null && echo $$name && break; done)
VENV := .venv
CONSTRAINTS := constraints.txt
BIN := $(VENV)/bin
OUT := out/demo

.PHONY: help install demo test test-fast test-all test-oldest test-cluster lint bench truth keys constraints clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "dyadid needs Python 3.11 or newer; say make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

# The tests and their tools run on pinned versions, so that nobody's release of a library breaks them.
$(VENV)/.installed-test: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[test,dev,cluster]'
	@touch $@ $(VENV)/.installed

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

test: $(VENV)/.installed-test  ## every test but the long ones, in minutes; `make lint` beside it
	$(PYTEST) -m 'not slow and not cluster'

FAST := tests/tables tests/cities tests/spec tests/pairs tests/estimate tests/infer
# Without what takes longest there, which `make test` runs.
FAST += $(patsubst %,--ignore=tests/%.py,estimate/test_callaway_jobs estimate/test_callaway_santanna \
  estimate/test_clean_comparisons estimate/test_extended_twfe estimate/test_fixed_effects estimate/test_gradient \
  estimate/test_poisson_fit estimate/test_twfe_diagnostics infer/test_block_jackknife infer/test_cohort_draws \
  infer/test_devices infer/test_drawn_thirds infer/test_guarded_instrument infer/test_instrument_draws \
  infer/test_inversion infer/test_network_errors infer/test_node_cohorts infer/test_node_devices \
  infer/test_partner_rows infer/test_permutation infer/test_refitted_permutations infer/test_spatial_errors \
  infer/test_step_down infer/test_task_sizes infer/test_two_way_wild infer/test_weighted)

test-fast: $(VENV)/.installed-test  ## most tests of tables, cities, job files and numerics
	$(PYTEST) -m 'not slow and not cluster' $(FAST)

# In the order of the folders, not the fullest files first: one of the long tests is alone in its file.
test-all: lint  ## lint, the above and the long Monte Carlo and scale tests
	$(PYTEST) --no-loadscope-reorder -m 'not cluster'

test-oldest:  ## a part of the tests on the oldest libraries that pyproject.toml allows, in .venv-oldest
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/pip install --quiet --disable-pip-version-check -c constraints-oldest.txt -e '.[test]'
	OMP_NUM_THREADS=1 .venv-oldest/bin/pytest -n auto --dist loadfile -m 'not slow and not cluster' $(FAST)

test-cluster: $(VENV)/.installed-test  ## runs on a real Slurm and on three hosts, as root; installs both
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/cluster -m cluster

bench: $(VENV)/.installed-test  ## the paired benchmarks behind the figures of tests/benchmarks/README.md
	@failed=; for script in tests/benchmarks/bench_*.py; do $(BIN)/python $$script || failed="$$failed $$script"; done; \
	  test -z "$$failed" || { echo "below its claim:$$failed"; exit 1; }

truth: $(VENV)/.installed-test  ## the table of truth: sizes of every standard-error type and estimator, hours
	$(BIN)/python tests/monte_carlo/simulate.py
	$(BIN)/python tests/monte_carlo/truth.py
	$(BIN)/python tests/monte_carlo/truth_of_estimators.py
	$(BIN)/python tests/monte_carlo/heterogeneous_effects.py

keys: $(VENV)/.installed  ## write jobs/KEYS.md and its Chinese, the reference of the keys of job files, from the schema
	$(BIN)/dyadid keys > jobs/KEYS.md
	$(BIN)/dyadid keys --lang zh > jobs/KEYS.zh-CN.md

constraints:  ## renew constraints.txt: the newest versions that work with each other on the oldest Python
	rm -rf .venv-new && $(PYTHON) -m venv .venv-new
	.venv-new/bin/pip install --quiet --disable-pip-version-check -e '.[test,dev,cluster]'
	{ sed '/^[^#]/d' $(CONSTRAINTS); .venv-new/bin/pip freeze --exclude-editable; } > $(CONSTRAINTS).new
	mv $(CONSTRAINTS).new $(CONSTRAINTS) && rm -rf .venv-new

clean:  ## remove what was built
	rm -rf $(VENV) .venv-* build dist out *.egg-info
