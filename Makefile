# make demo    draw a town, find and track its drives on its map, write demo/index.html, and show the page
# make test    everything that has to hold before a commit
# make page    build the page of cvlnet serve anew, after a change in page/ (needs Node and npm)
# The first two set up .venv first, once. PYTHON chooses the interpreter: make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test page

demo: $(INSTALLED)
	$(BIN)/cvlnet demo demo

# a process on every core, of one thread: tests work on small tensors, and threads would wait for each other
test: export OMP_NUM_THREADS := 1
test: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest -n auto

page:
	cd page && npm ci && npm test && npm run build

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
