# make demo | test | check | bench [PEERS=FILE] | bench-offline | compose-test | clean
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench bench-offline compose-test clean

demo: .venv/.installed
	$(BIN)/python examples/demo.py

test: .venv/.installed
	$(BIN)/pytest -n 2 --dist loadfile

check: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/.installed
	$(BIN)/python -m benchmarks $(if $(PEERS),--peers $(PEERS))

bench-offline: .venv/.installed
	$(BIN)/python -m benchmarks --offline

compose-test: .venv/.installed
	tests/compose.sh

clean:
	rm -rf .venv .demo .compose build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Beaver needs Python 3.11 or later, and '$(PYTHON)' is not (or is not there): make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { echo "no virtual environment could be made: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@
