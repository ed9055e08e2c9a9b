# Python 3.11+ and make are all a fresh machine needs. `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

CLIENTS := tests/clients/node_modules/.installed
PYTEST := $(BIN)/python -m pytest -q
PARALLEL := -n 4 --dist worksteal

# Wheels only, each with its hash: no code of a package runs while it is installed.
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
LOCKED := --require-hashes --only-binary :all: -r

COMPILE := $(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-annotate --upgrade

.PHONY: help install run test test-long test-under-load lint fix bench soak translations lock audit licences sbom deploy-check clean
help:
	@echo "make run              start the bot (the playground, when no Slack setting is set)"
	@echo "make install          create the environment from the lock file, nothing more"
	@echo "make test             run every test but the long ones; sets up all that they need"
	@echo "make test-long        run the tests that repeat or wait: crashes, crowds, random days, deploys, fuzzing"
	@echo "make test-under-load  run 'make test' three times beside four busy loops"
	@echo "make lint             ruff and mypy --strict"
	@echo "make fix              let ruff format and mend what it can"
	@echo "make bench            print the figures beside the leanest bot's"
	@echo "make soak             live random days, one after the other, until ^C or for SOAK_MINUTES"
	@echo "make translations     bring the catalogues in bot/translations up to date with the code"
	@echo "make audit            look for known vulnerabilities in the locked packages"
	@echo "make licences         list the packages' licences in docs/licences.md; 'make lock' does it, too"
	@echo "make sbom             write the bill of materials (CycloneDX) into dist/"
	@echo "make deploy-check     check the container's and the service's files, as far as this machine can"
	@echo "make clean            remove the environment"
	@echo "make lock             pin the newest allowed versions anew"

install: $(VENV)/.installed
run: install
	@$(BIN)/attendant run
test: $(VENV)/.installed-dev $(CLIENTS)
	@$(PYTEST) $(PARALLEL) -m "not long and not alone"
test-long: $(VENV)/.installed-dev
	@$(PYTEST) $(PARALLEL) -m "long and not alone"
	@$(PYTEST) -m alone
test-under-load: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.under_load
lint: $(VENV)/.installed-dev
	@$(BIN)/ruff format --check -q . && $(BIN)/ruff check -q . && $(BIN)/mypy --no-error-summary
fix: $(VENV)/.installed-dev
	@$(BIN)/ruff check -q --fix . ; $(BIN)/ruff format -q .
bench: $(VENV)/.installed-dev
	@$(BIN)/python -m bench
soak: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.random_days.soak
translations: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.translations.update
lock: $(VENV)/.installed-dev
	@$(BIN)/python -m pip install -q uv
	@$(COMPILE) pyproject.toml -o requirements.lock
	@$(COMPILE) pyproject.toml --group dev -o requirements-dev.lock
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' | \
		$(COMPILE) - -o requirements-build.lock
	@$(MAKE) --no-print-directory licences
audit licences sbom: $(VENV)/.installed-dev
	@$(BIN)/python -m deploy.packages $@
deploy-check:
	@deploy/check.sh
clean:
	@rm -rf $(VENV) tests/clients/node_modules

# The stamps make the second run quick: only a changed lock file or pyproject installs again.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Attendant needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
$(VENV)/.installed: requirements.lock requirements-build.lock pyproject.toml | $(VENV)/bin/python
	@echo "Setting up the environment (once) ..."
	@$(PIP) $(LOCKED) requirements.lock
	@$(PIP) --upgrade --target $(VENV)/build $(LOCKED) requirements-build.lock
	@PYTHONPATH=$(VENV)/build $(PIP) --no-index --no-deps --no-build-isolation -e .
	@touch $@
$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "Setting up what the tests need (once) ..."
	@$(PIP) $(LOCKED) requirements-dev.lock
	@touch $@
# The gateway's clients in JavaScript. Without npm their tests are skipped.
$(CLIENTS): tests/clients/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix tests/clients --silent --no-audit --no-fund && touch $@; \
	else echo "No npm: the JavaScript clients are not tested. Install Debian's package npm to test them."; fi
