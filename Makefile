# The everyday commands. Python 3.11 to 3.13 and GNU make are all that must be there.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FOR ?=
SEED ?=
WORKERS ?= 1
TESTERS ?= 2

.PHONY: run test soak bench check format clean
.DEFAULT_GOAL := run

# The virtual environment, made anew when a dependency changes.
$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed; set PYTHON=…, as in: make PYTHON=python3.12" >&2; exit 2; }
	@echo "Installing the pinned packages into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

run: $(VENV)/installed  ## embedded servers, a worker and sample text, until Ctrl-C
	@$(BIN)/faust -A app demo --workers $(WORKERS) $(if $(FOR),--for $(FOR))

# Absolute, since workers of tests run in directories of their own.
test: export COVERAGE_FILE := $(CURDIR)/build/coverage/data
test: $(VENV)/installed  ## every test, on real servers too, TESTERS=2 at once
	@mkdir -p build/coverage
	@$(BIN)/python -m tests.browser.chromium
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -n $(TESTERS) --dist loadfile
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

soak: $(VENV)/installed  ## random faults with new seeds, for FOR=15m; SEED=n repeats one; LONG=1: one plan
	$(BIN)/python -m tests.faults.soak $(if $(FOR),--for $(FOR)) $(if $(SEED),--seed $(SEED)) \
		$(if $(LONG),--long)

# The systems that it compares are large: installed when first measured.
$(VENV)/bench-installed: $(VENV)/installed
	@echo "Installing the extra bench (Spark is 300 MB) into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	@touch $@

bench: $(VENV)/bench-installed  ## this app beside others; LINES=n SYSTEMS=app,spark SWEEP=scaling …
	@$(BIN)/python -m tests.benchmarks.bench $(if $(LINES),--lines $(LINES)) \
		$(if $(SYSTEMS),--systems $(SYSTEMS)) $(if $(DISTINCT),--distinct $(DISTINCT)) \
		$(if $(WINDOWS),--windows $(WINDOWS)) $(if $(PARTITIONS),--partitions $(PARTITIONS)) \
		$(if $(FLUSH),--flush $(FLUSH)) $(if $(SWEEP),--sweep $(SWEEP))

check: $(VENV)/installed  ## format, lint, types, unit tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/oxlint --deny-warnings app tests
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/unit -q

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build
