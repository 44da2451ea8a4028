# make demo: a virtual environment, the package, and a real search on bundled digits (under 4 minutes)
# make test: the same, then the checks and tests; make long: all tests again with their further cases
# make documents: the tests that follow the tutorials, guides, examples and notebooks, open a report in Chromium, and use a small Ray cluster
# make cluster-test: only the tests of a Ray cluster with PostgreSQL, MLflow and an S3 server; it starts and stops all of it
# make setup: the virtual environment with everything that a developer needs; make docs: the documentation site, in site/
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: demo test setup check docs documents long cluster-test clean

demo: $(VENV)/.installed
	$(BIN)/cnnsearch run --space digits_cnn --trials 12 --runs demo/runs
	$(BIN)/cnnsearch export --best digits_cnn --runs demo/runs -o demo/export
	@echo
	@echo "Every trial:  $(BIN)/cnnsearch leaderboard --runs demo/runs"
	@echo "Open MLflow:  $(BIN)/cnnsearch ui    then http://127.0.0.1:5000"
	@echo "Try next:     $(BIN)/cnnsearch run --space mnist_cnn --trials 50    (see README.md for the data)"

test: demo check

check: $(VENV)/.installed-dev docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/$(PYTEST) -m "not slow and not documents and not cluster"

documents: $(VENV)/.installed-dev
	$(BIN)/$(PYTEST) -m "(documents or cluster) and not slow"

setup: $(VENV)/.installed-dev

docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

long: $(VENV)/.installed-dev
	$(BIN)/$(PYTEST) -m "slow or not slow" --hypothesis-profile default

cluster-test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m cluster

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'cnnsearch needs Python 3.11 or later: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	touch $@

clean:
	rm -rf $(VENV) demo build dist site
