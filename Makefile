# Every target makes the environment it needs, once: `make demo` or `make test` may come first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test check format facts docs bench accuracy lock hooks clean

help: ## say what each target does
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

demo: $(READY) ## plan Colossus 1, print the report and write it to out/colossus-1.html
	@mkdir -p out
	@$(BIN)/chares plan colossus-1
	@$(BIN)/chares plan colossus-1 --html out/colossus-1.html
	@echo "the same as a page: out/colossus-1.html"

test: check ## everything that must hold: style, types, tests, branch coverage of at least 90 %
	$(BIN)/pytest -n 2 --cov --cov-branch --cov-report=term

check: $(READY) ## style and types only (ruff, mypy --strict)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## put the code into its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

facts: $(READY) ## compile the fact files; a bad record is named by file, line and key
	$(BIN)/python tools/compile_facts.py

docs: $(READY) ## write the blocks of the documentation that are generated
	$(BIN)/python tools/refresh_docs.py

bench: $(READY) ## measure start-up and search against their limits
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/search.py

accuracy: $(READY) ## every measure of the training model beside its aim (some minutes)
	$(BIN)/python bench/accuracy.py

lock: $(READY) ## pin anew what constraints.txt pins, from what pyproject.toml asks for
	$(BIN)/python tools/pin_versions.py

hooks: $(READY) ## run style and types before each commit
	$(BIN)/pre-commit install

clean: ## remove what the other targets made
	rm -rf $(VENV) out dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	rm -f src/chares/data/facts.json

# A Python without its venv parts (Debian without python3-venv) borrows the pip it has.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "chares needs Python 3.11 or newer; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); \
	  $(PYTHON) -m venv --without-pip $(VENV) && \
	  $(PYTHON) -m pip --python $(BIN)/python install -q pip; }

$(READY): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q -r constraints.txt
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@
