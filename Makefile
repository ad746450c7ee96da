# Both commands of the README do everything on a fresh machine: make demo, make test.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Two files at once, in the order of tests/conftest.py.
TWO := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test quick browser drill lint types clean

# The real search on the embedded digits, then its analysis. Interrupted, it goes on where it was.
demo: $(VENV)/.installed
	if [ -d runs/demo ]; then \
	  $(BIN)/python tune.py --resume runs/demo; \
	else \
	  $(BIN)/python tune.py search_spaces/digits.yaml --name demo; \
	fi
	$(BIN)/python analyze.py runs/demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest $(TWO)

# What needs neither Ray nor a browser: for every save.
quick: $(VENV)/.installed
	$(BIN)/python -m pytest $(TWO) -m 'not ray and not drill and not browser and not gpu'

# The report in headless Chromium (Debian: chromium, chromium-driver).
browser: $(VENV)/.installed
	$(BIN)/python -m pytest -m browser

# Machines and networks that fail: kills, full disks, clusters, S3, PostgreSQL. It takes root, half an hour, and
# Debian's package postgresql.
drill: $(VENV)/.installed-drill
	$(BIN)/python -m pytest $(TWO) -vv -m 'drill and not alone'
	$(BIN)/python -m pytest -vv -m 'drill and alone'

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache

types: $(VENV)/.installed-dev
	$(BIN)/mypy

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/.installed-drill: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[drill]'
	touch $@

clean:
	rm -rf $(VENV)
