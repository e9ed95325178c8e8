# make run: sets up, then yellow 2021-01 into every store.   make test: sets up, then the tests.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup run test check requirements clean

setup: .venv/ready .env.local

.venv/ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 14) or sys.exit("taxi_assets needs Python 3.11 to 3.14, and $(PYTHON) is %d.%d. Next: make PYTHON=python3.12 $(MAKECMDGOALS)" % v)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Compose's database password: random, made once, git-ignored.
.env.local:
	@umask 077; $(PYTHON) -c 'import secrets; print("# Credentials of this machine: git-ignored.\n# Used by docker-compose.yml only, until POSTGRES_HOST is set.\nCOMPOSE_POSTGRES_PASSWORD=" + secrets.token_urlsafe(24))' > $@

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
