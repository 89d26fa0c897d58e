# Two commands for people: `make demo` and `make test`. Both make .venv/ first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROMPT ?= What is the capital of France?

.PHONY: demo test check registry bench clean

demo: $(VENV)/.demo
	@$(BIN)/nxlog chat "$(PROMPT)" --system "Answer in one sentence." --temperature 0 --color always

test: check
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m nxlog.registry --check

# Compiles providers/ and capabilities/ after an edit.
registry: $(VENV)/.dev
	$(BIN)/python -m nxlog.registry

bench: $(VENV)/.dev
	$(BIN)/python -m pip install -q -e '.[bench]'
	$(BIN)/python benchmarks/run.py

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "nxlog needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -e '.[cli,local]'
	$(BIN)/nxlog local pull
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -e '.[dev]'
	$(BIN)/nxlog local pull
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) dist .pytest_cache .ruff_cache .mypy_cache
