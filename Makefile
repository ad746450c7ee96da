# The commands of the README do everything on a fresh machine: make demo, make test, make methods, make ablation.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Two files at once, in the order of tests/conftest.py.
TWO := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo methods ablation test quick browser drill lint types clean

# The real search on the embedded digits, then its analysis. Interrupted, it goes on where it was.
demo: $(VENV)/.installed
	if [ -d runs/demo ]; then \
	  $(BIN)/python tune.py --resume runs/demo; \
	else \
	  $(BIN)/python tune.py search_spaces/digits.yaml --name demo; \
	fi
	$(BIN)/python analyze.py runs/demo

# Every method of the package on the digits, with every refit of ERM's networks.
methods: $(VENV)/.installed
	if [ -d runs/digits-methods ]; then \
	  $(BIN)/python tune.py --resume runs/digits-methods; \
	else \
	  $(BIN)/python tune.py search_spaces/digits_methods.yaml --name digits-methods; \
	fi
	$(BIN)/python analyze.py runs/digits-methods --dfr scale,dfr,class,train

# The published ablation, rehearsed on the digits, and its figures in runs/digits-ablation/results/ablation.
ABLATION := $(BIN)/python analyze.py ablation runs/digits-ablation --by regularize_mode
ablation: $(VENV)/.installed
	test -f data/letters.safetensors || $(BIN)/python search_spaces/letters.py data/letters.safetensors
	if [ -d runs/digits-ablation ]; then \
	  $(BIN)/python tune.py --resume runs/digits-ablation; \
	else \
	  $(BIN)/python tune.py search_spaces/digits_ablation.yaml --name digits-ablation; \
	fi
	$(ABLATION) --rows target_size --cols spurious_strength --at target_size=200
	$(ABLATION) --rows spurious_strength --cols target_size --at spurious_strength=1
	$(ABLATION) --rows spurious_strength --cols target_size --plot heatmap
	$(ABLATION) --rows spurious_strength --cols target_size --plot heatmap \
	  --difference scale,dfr --difference scale,erm_target --difference scale,scale_step

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
	$(BIN)/shellcheck cluster/*.sh .ci/run

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
