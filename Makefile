# `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python requirements/install.py
PYTEST_OPTIONS ?= -n 3 --dist loadfile --no-loadscope-reorder
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev password run test test-fast test-long coverage check requirements clean

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: .venv/ready password ## installs what a run needs: .venv, and .env.local with a password

setup-dev: .venv/ready-dev password ## also installs what the tests and checks need

.venv/ready: requirements/runtime.txt requirements/uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 14) or sys.exit("taxi_assets needs Python 3.11 to 3.14, and $(PYTHON) is %d.%d. Next: make PYTHON=python3.12 $(MAKECMDGOALS)" % v)'
	$(PYTHON) -m venv $$(grep -Eqs "^version(_info)? = $$($(PYTHON) -c 'import platform; print(platform.python_version())')$$" .venv/pyvenv.cfg || echo --clear) .venv
	@$(BIN)/python -m pip install --quiet --only-binary :all: --require-hashes -r requirements/uv.txt \
		|| echo "uv cannot be installed; pip installs the packages instead. This takes a minute longer."
	$(INSTALL) --require-hashes -r requirements/runtime.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/ready-dev: .venv/ready requirements/dev.txt
	$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

# Writes a random password for docker-compose.yml's database into .env.local (git-ignored), if it has none. The embedded
# server needs no password.
password:
	@grep -qs '^POSTGRES_PASSWORD=' .env.local || (umask 077; $(PYTHON) -c 'import secrets; print("# The database of docker-compose.yml, or the one that POSTGRES_HOST names.\nPOSTGRES_PASSWORD=" + secrets.token_urlsafe(24))' >> .env.local)

run: setup ## loads yellow 2021-01 into every store
	$(BIN)/taxi run yellow --months 2021-01

test: setup-dev ## runs the tests, but the long ones
	$(BIN)/python -m pytest -m "not long" $(PYTEST_OPTIONS)

test-fast: setup-dev ## runs the tests that start no server
	$(BIN)/python -m pytest -m "not servers and not long" $(PYTEST_OPTIONS)

test-long: setup-dev ## runs the long tests: many kills, namespaces, soaks
	$(BIN)/python -m pytest -m long

coverage: setup-dev ## runs the tests of `make test` and measures which lines they run
	$(BIN)/python -m pytest -m "not long" --cov $(PYTEST_OPTIONS)

check: setup-dev ## checks style, types, imports and Dagster's definitions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@# Uses a temporary instance, because the one of dagster.yaml starts PostgreSQL.
	home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && printf 'telemetry:\n  enabled: false\n' > "$$home/dagster.yaml" \
		&& DAGSTER_HOME="$$home" $(BIN)/dg check defs

requirements: .venv/ready ## pins all dependencies, with hashes and without an index address
	$(BIN)/uv pip compile $(COMPILE) --extra local -o requirements/runtime.txt pyproject.toml
	$(BIN)/uv pip compile $(COMPILE) --extra local --extra dev -c requirements/runtime.txt -o requirements/dev.txt pyproject.toml
	echo uv | $(BIN)/uv pip compile $(COMPILE) --no-annotate -o requirements/uv.txt -

COMPILE := --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	--no-emit-index-url --no-emit-find-links --no-header

clean: ## stops the local services; removes .venv and .taxi with all data
	-$(BIN)/taxi down
	rm -rf .venv .taxi
