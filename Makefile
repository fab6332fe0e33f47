# Everything a person needs: make start, make demo, make test.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
DEMO := data/demo

.PHONY: setup start demo test test-duckdb-1 faults mutations false-alarms bench lint

setup: .venv/.done .env

# Installed anew when what is pinned or declared changes.
.venv/.done: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 setup")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# So that a plain `dagster dev` in this folder keeps its state; see dagster.yaml.
.env:
	echo "DAGSTER_HOME=$(CURDIR)" > $@

start: setup
	@echo "Dagster: http://127.0.0.1:3000 (collects at minute 3 of every hour; Ctrl-C ends it)"
	DAGSTER_HOME="$(CURDIR)" exec $(BIN)/dagster dev

# Invented markets from a local sandbox, in a data folder and Dagster home of their own.
demo: setup
	@mkdir -p $(DEMO)
	@sed 's#data/\.dagster#.dagster#' dagster.yaml > $(DEMO)/dagster.yaml
	@PATH="$(CURDIR)/$(BIN):$$PATH" DEMO="$(CURDIR)/$(DEMO)" bash scripts/demo.sh

test: setup
	$(BIN)/pytest -n 2

# What comes of every fault at every exchange, as a table.
faults: setup
	$(BIN)/python -m funding_pipeline_tests.end_to_end.fault_matrix

# Every exchange with its unit, sign and interval broken: what the canaries say, and how soon.
mutations: setup
	$(BIN)/python -m funding_pipeline_tests.end_to_end.mutation_table

# What row checks and canaries say to all recorded rates: how many alarms, and which.
false-alarms: setup
	$(BIN)/python -m funding_pipeline_tests.domain.row_check_alarms
	$(BIN)/python -m funding_pipeline_tests.end_to_end.mutation_table --false-alarms

# Speed, size and memory beside their targets; writes docs/benchmarks.md.
bench: setup
	$(BIN)/python -m funding_pipeline_tests.bench

# The same tests on the older DuckDB that is supported.
test-duckdb-1:
	$(PYTHON) -m venv .venv-duckdb-1
	grep -v '^duckdb==' constraints.txt > .venv-duckdb-1/constraints.txt
	.venv-duckdb-1/bin/pip install --quiet --constraint .venv-duckdb-1/constraints.txt --editable '.[dev]' 'duckdb==1.5.*'
	.venv-duckdb-1/bin/pytest -n 2

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
