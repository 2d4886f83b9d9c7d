# make run: the server on http://127.0.0.1:8080. make check: lint, types, architecture, in seconds. make test: check and
# every test. All set themselves up.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: run test check bench engines browser clean

run: $(VENV)/.run
	$(BIN)/python server.py $(ARGS)

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

test: check browser
	$(BIN)/python -m pytest $(ARGS)

bench: $(VENV)/.test browser
	$(BIN)/python -m tests.e2e.bench $(ARGS)

engines: $(VENV)/.run
	$(BIN)/python -m engines.bench $(ARGS)

# The end-to-end tests drive a real browser. Where there is none, Debian's and Ubuntu's package is taken, if we may install it;
# otherwise they skip and say so.
browser:
	@$(BIN)/python -m tests.e2e.browser || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } || true

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Latentcam needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt constraints.txt | $(BIN)/python
	$(PIP) -r requirements.txt
	touch $@

$(VENV)/.test: requirements-test.txt $(VENV)/.run
	$(PIP) -r requirements-test.txt
	touch $@

clean:
	rm -rf $(VENV)
