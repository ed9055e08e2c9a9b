# Python 3.11+ and make are all a fresh machine needs. `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

CLIENTS := tests/clients/node_modules/.installed
PYTEST := $(BIN)/python -m pytest -q
PARALLEL := -n 4 --dist worksteal

.PHONY: help install run test test-long test-under-load lint fix bench soak translations lock clean
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
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-annotate --upgrade pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-annotate --upgrade pyproject.toml --group dev -o requirements-dev.lock
clean:
	@rm -rf $(VENV) tests/clients/node_modules

# The stamps make the second run quick: only a changed lock file or pyproject installs again.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Attendant needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Setting up the environment (once) ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps -e .
	@touch $@
$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "Setting up what the tests need (once) ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@
# The gateway's clients in JavaScript. Without npm their tests are skipped.
$(CLIENTS): tests/clients/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix tests/clients --silent --no-audit --no-fund && touch $@; \
	else echo "No npm: the JavaScript clients are not tested. Install Debian's package npm to test them."; fi
