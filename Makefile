# The everyday commands. Python 3.11 to 3.14 and GNU make are all that must be there.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FOR ?=
SEED ?=
WORKERS ?= 1
TESTERS ?= 3
ONLY ?=
# Hashes first: pip refuses a file that is not the recorded one. Wheels only: nothing is compiled.
LOCKED := --quiet --disable-pip-version-check --require-hashes
HERE := --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
UV := uv==0.13.9

.PHONY: help run test soak bench check format lock hooks clean
.DEFAULT_GOAL := run

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "PYTHON=python3.13 and VENV=.venv313 choose another Python and its environment."

# The virtual environment, created again when a dependency changes.
$(VENV)/installed: pyproject.toml tests/requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' || { \
		echo "$(PYTHON) is not Python 3.11, 3.12, 3.13 or 3.14; set PYTHON=…, as in:" \
		"make PYTHON=python3.13" >&2; exit 2; }
	@echo "Installing the locked packages into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install $(LOCKED) --only-binary :all: -r tests/requirements.lock
	@$(BIN)/python -m pip install $(HERE)
	@touch $@

run: $(VENV)/installed  ## embedded servers, a worker and sample text, until Ctrl-C
	@$(BIN)/faust -A app demo --workers $(WORKERS) $(if $(FOR),--for $(FOR))

# Absolute, since workers of tests run in directories of their own.
test: export COVERAGE_FILE := $(CURDIR)/build/coverage/data
test: $(VENV)/installed  ## every test, on real servers too, TESTERS=3 at once; ONLY=sources: some
	@mkdir -p build/coverage
	@$(BIN)/python -m tests.browser.chromium
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -n $(TESTERS) $(if $(ONLY),-k '$(ONLY)') --durations=10
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report $(if $(ONLY),--fail-under=0)

soak: $(VENV)/installed  ## random faults with new seeds, for FOR=15m; SEED=n repeats one; LONG=1: one plan
	$(BIN)/python -m tests.faults.soak $(if $(FOR),--for $(FOR)) $(if $(SEED),--seed $(SEED)) \
		$(if $(LONG),--long)

# The systems that it compares are large: installed when first measured.
$(VENV)/bench-installed: $(VENV)/installed tests/benchmarks/requirements.lock
	@echo "Installing the extra bench (Spark is 300 MB) into $(VENV)"
	@$(BIN)/python -m pip install $(LOCKED) -r tests/benchmarks/requirements.lock
	@touch $@

bench: $(VENV)/bench-installed  ## this app beside others; LINES=n SYSTEMS=app,spark SWEEP=scaling …
	@$(BIN)/python -m tests.benchmarks.bench $(if $(LINES),--lines $(LINES)) \
		$(if $(SYSTEMS),--systems $(SYSTEMS)) $(if $(DISTINCT),--distinct $(DISTINCT)) \
		$(if $(WINDOWS),--windows $(WINDOWS)) $(if $(PARTITIONS),--partitions $(PARTITIONS)) \
		$(if $(FLUSH),--flush $(FLUSH)) $(if $(SWEEP),--sweep $(SWEEP))

check: $(VENV)/installed  ## format, lint, types, unit tests: under a minute
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/oxlint --deny-warnings app tests
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/unit -q -n $(TESTERS)

format: $(VENV)/installed  ## format, and fix what ruff can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# All locks are of one resolution: the others may only hold versions of the first.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command 'make lock' pyproject.toml
lock: $(VENV)/installed  ## renew the lock files after a change of pyproject.toml; UPGRADE=1: newest
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV)
	$(LOCK) $(if $(UPGRADE),--upgrade) --extra dev --output-file tests/requirements.lock
	$(LOCK) --constraint tests/requirements.lock --output-file docker/requirements.lock
	$(LOCK) --constraint tests/requirements.lock --extra bench \
		--output-file tests/benchmarks/requirements.lock

hooks: $(VENV)/installed  ## format and lint before each git commit, by pre-commit where it is installed
	pre-commit install

clean:  ## remove the environment and what was built
	rm -rf $(VENV) build
