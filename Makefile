# `make run`: set up, train the sample experiment with two backbones, compare. `make test`: set up, run every check.
# `make bench`: measure speed and memory.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: run test setup setup-test check bench clean

run: setup
	$(BIN)/segengine run experiments/abdomen.yaml

test: setup-test
	$(MAKE) check

setup: $(VENV)/.installed

setup-test: $(VENV)/.installed-test

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("segengine needs Python 3.11 to 3.13; set PYTHON=...") if not (3, 11) <= sys.version_info[:2] <= (3, 13) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml $(wildcard plugins/*/pyproject.toml)
	$(BIN)/python -m pip install -q -e . -e plugins/segengine-runtime -e plugins/segengine-resnet
	touch $@

$(VENV)/.installed-test: $(VENV)/bin/python pyproject.toml $(wildcard plugins/*/pyproject.toml)
	$(BIN)/python -m pip install -q -e '.[dev]' $(addprefix -e ,$(wildcard plugins/*))
	touch $@ $(VENV)/.installed

# Lint, format, types, layers, tests: what continuous integration runs.
check:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -q -n 2 --durations=10

# Speed and memory beside a plain loop and the limit, on this machine; about 15 minutes on two cores.
bench: setup
	$(BIN)/python -m tests.benchmarks --json benchmarks.json --markdown benchmarks.md

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
