# make demo   the whole path on embedded data       make test   linters, types, tests
# make bench  what is claimed, measured again       make lint   linters and types only
# make docs   the documents as a site, in site/     make notebook   the quickstart, executed anew
# Each sets up .venv first, if need be.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/data/cifar-10

.PHONY: demo test lint format bench docs notebook clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/.installed
	rm -rf demo
	$(BIN)/podium demo --out demo

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed
	$(BIN)/python bench/opening.py $(DATA) --name 50000
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/augmentation.py
	$(BIN)/python bench/throughput.py
	$(BIN)/python bench/sprint_accuracy.py $(DATA)
	$(BIN)/python bench/seed_losses.py $(DATA)

docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

notebook: $(VENV)/.installed
	$(BIN)/python notebooks/execute.py

clean:
	rm -rf $(VENV) demo site build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
