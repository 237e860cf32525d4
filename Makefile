# Each target is enough by itself on a machine that has only python3, pip and make.
# uv is taken from PATH or fetched into .tools/; it makes .venv with the pinned versions of constraints.txt.

UV := .tools/bin/uv
BIN := .venv/bin
STAMP := .venv/.installed
DOCS_STAMP := .venv/.installed-docs

# uv trusts the hosts that this machine trusts, a company's proxy included, where the system says which.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export UV_SYSTEM_CERTS ?= 1
endif

# Where Python keeps no bytecode, each process would compile every module anew: seconds for every one of them.
ifneq ($(PYTHONDONTWRITEBYTECODE),)
export UV_COMPILE_BYTECODE ?= 1
endif

# Pythons of pyenv that its shims do not show in this folder.
PYENV := $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/*/bin)

.DEFAULT_GOAL := help
.PHONY: help env demo test fast test-lowest lint format docs bench constraints clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

env: $(STAMP) ## make or refresh the environment in .venv

demo: $(STAMP) ## fit, compare and recover the example models
	@$(BIN)/speclet-formula demo

test: $(STAMP) ## run all tests, with coverage
	@echo "== all tests, with coverage"
	@$(BIN)/pytest -n auto --dist loadfile --durations=10 --cov --cov-report=term --cov-fail-under=95

fast: $(STAMP) ## run the quick tests, a minute or two
	@echo "== fast tests"
	@$(BIN)/pytest -m "not slow" --hypothesis-profile few -n auto --dist loadfile

# Deprecations that newer packages report of older ones are not ours.
test-lowest: | $(UV) ## run the quick tests with the lowest versions that pyproject.toml allows
	@echo "== installing the lowest versions into .venv-lowest"
	@PATH="$$PATH:$$(echo $(PYENV) | tr ' ' ':')"; $(UV) venv --quiet --clear --python 3.12 .venv-lowest
	@$(UV) pip install --quiet --python .venv-lowest --resolution lowest-direct --group dev --editable .
	@echo "== fast tests"
	@.venv-lowest/bin/python -m pytest -m "not slow" --hypothesis-profile few -n auto --dist loadfile \
		-W ignore::DeprecationWarning

lint: $(STAMP) ## check style, format, types and the direction of imports
	@echo "== ruff check"
	@$(BIN)/ruff check --quiet
	@echo "== ruff format"
	@$(BIN)/ruff format --check --quiet
	@echo "== mypy"
	@$(BIN)/mypy
	@echo "== import-linter"
	@$(BIN)/lint-imports --no-logo

format: $(STAMP) ## put the code into the common format
	@$(BIN)/ruff check --fix --quiet
	@$(BIN)/ruff format

docs: $(DOCS_STAMP) ## build the pages of docs/ into docs/_build/html; every notebook is run
	@echo "== building the pages (some minutes)"
	@$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning --jobs 2 docs docs/_build/html
	@echo "== docs/_build/html/index.html"

bench: $(STAMP) ## time the engines beside their peers; BENCH="--quick" for a first look
	@echo "== benchmarks"
	@$(BIN)/python -m benchmarks $(BENCH)

constraints: $(UV) ## resolve the versions in constraints.txt; UPGRADE=--upgrade moves all to their newest
	@echo "== resolving constraints.txt"
	@$(UV) pip compile --quiet --universal --python-version 3.12 --no-annotate $(UPGRADE) \
		--custom-compile-command "make constraints" --all-extras --group dev --group docs \
		--output-file constraints.txt pyproject.toml

clean: ## remove the environment, uv and all caches
	rm -rf .venv .venv-lowest .tools .coverage .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist docs/_build \
		docs/reference
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A uv that knows dependency groups: the one on PATH, else from pip, else from a pip of its own (python3-venv).
$(UV):
	@mkdir -p .tools/bin
	@if uv pip install --help 2>/dev/null | grep -q -e '--group'; then \
		ln -sf "$$(command -v uv)" $(UV); \
	else \
		echo "== fetching uv into .tools"; \
		PIP_USER=0 PIP_ROOT_USER_ACTION=ignore python3 -m pip install -qq --upgrade --target .tools 'uv>=0.8' \
		|| { python3 -m venv .tools/venv && .tools/venv/bin/pip install -qq 'uv>=0.8' \
			&& ln -sf ../venv/bin/uv $(UV); }; \
	fi

# The Python of .python-version if it is here, else any that the package supports, else uv fetches one.
$(STAMP): pyproject.toml constraints.txt .python-version | $(UV)
	@echo "== installing into .venv (some minutes the first time)"
	@rm -f $(STAMP)
	@PATH="$$PATH:$$(echo $(PYENV) | tr ' ' ':')"; $(BIN)/python -c "" 2>/dev/null \
		|| $(UV) venv --quiet --clear --no-python-downloads .venv 2>/dev/null \
		|| $(UV) venv --quiet --clear --no-python-downloads --python '>=3.12' .venv 2>/dev/null \
		|| $(UV) venv --quiet --clear .venv
	@$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt \
		--build-constraint constraints.txt --editable '.[numpyro]' --group dev
	@touch $(STAMP)

# What builds the pages is needed by `make docs` alone.
$(DOCS_STAMP): $(STAMP)
	@echo "== installing what builds the pages"
	@$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt \
		--build-constraint constraints.txt --group docs
	@touch $(DOCS_STAMP)
