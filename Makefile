# The two commands of the README: `make demo` and `make test`. Everything happens in .venv and in data/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS ?= dev

.DEFAULT_GOAL := help
.PHONY: help demo dagster review test test-all test-duckdb2 check docs pictures bench clean

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

demo: $(STAMP)  ## Sync a whole simulated MSP, end to end, into data/
	@$(BIN)/o365-etl demo

dagster: $(STAMP)  ## The Dagster UI on the demo's runs and assets, with the simulator behind it
	@$(BIN)/o365-etl demo --dagster

review: $(STAMP)  ## The review website on the demo's tables, with the simulator behind it
	@$(BIN)/o365-etl demo --review

test: check  ## The whole test suite, with linters and types
	$(BIN)/pytest -n 3 --dist loadfile

test-all: EXTRAS := dev,msgraph,bench,postgres,keyring
test-all:  ## As test, with the independent client, PostgreSQL and the second DuckDB
	rm -f $(STAMP)
	$(MAKE) $(STAMP) EXTRAS=$(EXTRAS)
	$(MAKE) test
	$(MAKE) test-duckdb2

check: $(STAMP)  ## Formatting, lint, types, layers, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m docs.generate --check

docs: $(STAMP)  ## Write docs/tables.md from the table contract
	$(BIN)/python -m docs.generate

pictures: $(STAMP)  ## Take the pictures of the review website anew, by its browser test
	PICTURES_FOLDER=$(abspath docs/images) $(BIN)/pytest -q tests/review/test_story.py

clean:  ## Remove what the demo made
	rm -rf data

test-duckdb2: $(STAMP)  ## The store's tests on DuckDB 2, in an environment of its own
	test -x $(VENV)/duckdb2/bin/python || $(PYTHON) -m venv --system-site-packages $(VENV)/duckdb2
	echo "$(abspath $(VENV))"/lib/python*/site-packages | tr ' ' '\n' > "$$(echo $(VENV)/duckdb2/lib/python*/site-packages)/base.pth"
	$(VENV)/duckdb2/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade 'duckdb>=2,<3'
	$(VENV)/duckdb2/bin/python -m pytest -q tests/store

bench: EXTRAS := dev,bench
bench: $(STAMP)  ## Speed and memory, as ratios of one run (minutes)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'orjson'
	$(BIN)/python -m benchmarks.extraction
	$(BIN)/python -m benchmarks.extraction --tenants 100 --users 500 --latency 0.1 --threads 8
	$(BIN)/python -m benchmarks.extraction --tenants 100 --users 500 --latency 0.1
	$(BIN)/python -m benchmarks.matching
	$(BIN)/python -m benchmarks.planning
	$(BIN)/python -m benchmarks.planning --write
	$(BIN)/python -m benchmarks.whole_sync --share --users 20
	$(BIN)/python -m benchmarks.whole_sync
	$(BIN)/python -m benchmarks.review_pages
