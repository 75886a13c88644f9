# The two commands of the README: `make demo` and `make test`. Everything happens in .venv and in data/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := $(VENV)/peers
EXTRAS ?= dev

.DEFAULT_GOAL := help
.PHONY: help demo dagster review test install-all test-all test-duckdb2 scale-test check docs pictures bench clean

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
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

install-all:  ## The environment with every optional part
	rm -f $(STAMP)
	$(MAKE) $(STAMP) EXTRAS=dev,msgraph,bench,postgres,keyring,scale

test-all: install-all  ## As test, with the independent client, PostgreSQL and the second DuckDB
	$(MAKE) test
	$(MAKE) test-duckdb2

scale-test: EXTRAS := dev,scale
scale-test: $(STAMP)  ## Past one machine: PostgreSQL, Redis and two workers, one of them killed (minutes)
	$(BIN)/python -c 'import dagster_celery' 2>/dev/null || { rm -f $(STAMP); $(MAKE) $(STAMP) EXTRAS=$(EXTRAS); }
	$(BIN)/pytest -q -s tests/scale/scale_sync.py

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

test-duckdb2: $(STAMP)  ## The tests of what uses DuckDB in the store on DuckDB 2, in an environment of its own
	test -x $(VENV)/duckdb2/bin/python || $(PYTHON) -m venv $(VENV)/duckdb2
	echo "$(abspath $(VENV))"/lib/python*/site-packages | tr ' ' '\n' > "$$(echo $(VENV)/duckdb2/lib/python*/site-packages)/base.pth"
	$(VENV)/duckdb2/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade 'duckdb>=2,<3'
	$(VENV)/duckdb2/bin/python -m pytest -q -n 3 --dist loadfile tests/store -k 'not test_state or test_state_links'

$(PEERS)/.installed: benchmarks/peers/requirements.txt benchmarks/peers/constraints.txt $(STAMP)
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r $< -c benchmarks/peers/constraints.txt
	touch $@

bench: EXTRAS := dev,bench
bench: $(STAMP) $(PEERS)/.installed  ## Beside its peers, and as it grows: refreshes docs/performance.md (20 minutes)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'orjson'
	$(BIN)/python -m benchmarks.beside --write
	$(BIN)/python -m benchmarks.growth --write
