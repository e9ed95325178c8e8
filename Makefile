# make run: sets up, then yellow 2021-01 into every store.   make test: sets up, then the tests.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup password run test check requirements clean

setup: .venv/ready password

.venv/ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 14) or sys.exit("taxi_assets needs Python 3.11 to 3.14, and $(PYTHON) is %d.%d. Next: make PYTHON=python3.12 $(MAKECMDGOALS)" % v)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# A random password for docker-compose.yml's database, where .env.local (git-ignored) has none. The embedded server asks
# for no password.
password:
	@grep -qs '^POSTGRES_PASSWORD=' .env.local || (umask 077; $(PYTHON) -c 'import secrets; print("# The database of docker-compose.yml, or the one that POSTGRES_HOST names.\nPOSTGRES_PASSWORD=" + secrets.token_urlsafe(24))' >> .env.local)

run: setup
	$(BIN)/taxi run yellow --months 2021-01

test: setup
	$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Pins every dependency with its hashes; needs `uv` on the PATH. No index address is written.
requirements:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
		--no-emit-index-url --no-emit-find-links --no-header --extra local -o requirements/runtime.txt pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
		--no-emit-index-url --no-emit-find-links --no-header --extra local --extra dev \
		-c requirements/runtime.txt -o requirements/dev.txt pyproject.toml

clean:
	-$(BIN)/taxi down
	rm -rf .venv .taxi
