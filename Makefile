# make demo: a virtual environment, the package, and a real search on bundled digits (under 4 minutes)
# make test: the same, then every check and test; make long: the tests again with their further cases
# make cluster-test: only the tests of a Ray cluster with PostgreSQL, MLflow and an S3 server; it starts and stops all of it
# make setup: the virtual environment with everything that a developer needs; make docs: the documentation site, in site/
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test setup check docs long cluster-test clean

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
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

setup: $(VENV)/.installed-dev

docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

long: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder -m "slow or not slow" --hypothesis-profile default

cluster-test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest tests/faults/test_cluster.py tests/tuning/test_ray.py -m "slow or not slow"

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
