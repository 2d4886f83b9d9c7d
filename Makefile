# make run: the server on http://127.0.0.1:8080. make check: lint, types, architecture, in seconds. make test: check and
# every test. All set themselves up.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

NODE_DIR := .work/node
TYPESCRIPT := 5.9.3

CLUSTER := .work/cluster
TSC := $(NODE_DIR)/typescript-$(TYPESCRIPT)/node_modules/typescript/bin/tsc

# Percent of the lines and branches outside of trainings that the tests have to run.
COVERED := 70

MINUTES ?= 10

.PHONY: run test cluster-test coverage check types-web bench soak engines browser clean

run: $(VENV)/.run
	$(BIN)/python server.py $(ARGS)

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py
	@$(MAKE) --no-print-directory types-web

# The page's modules are plain JavaScript with types in their comments, which TypeScript checks where Node.js is installed.
types-web:
	@if ! command -v node >/dev/null || ! command -v npm >/dev/null; then \
		echo "types-web: skipped, there is no Node.js with npm"; \
	elif ! test -e $(TSC) && ! npm install --silent --no-save --ignore-scripts --no-audit --no-fund \
		--prefix $(NODE_DIR)/typescript-$(TYPESCRIPT) typescript@$(TYPESCRIPT); then \
		echo "types-web: skipped, TypeScript $(TYPESCRIPT) cannot be installed from here"; \
	else node $(TSC) --project web/jsconfig.json && echo "types-web: no errors"; fi

# Two processes at most: one has the tests that move media in real time, see tests/lanes.py.
test: check browser
	$(BIN)/python -m pytest -p tests.lanes --numprocesses logical --maxprocesses 2 --dist loadscope --durations=30 $(ARGS)

# Counting lines and branches makes the tests a third slower, so it has a command of its own, for continuous integration.
coverage: check browser
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage report --fail-under=$(COVERED)

# Minutes, and 5 GB of memory. Ray Serve is in an environment of its own: nothing else is to need or to notice it.
cluster-test: $(CLUSTER)/.installed
	LATENTCAM_CLUSTER_TESTS=1 $(CLUSTER)/bin/python -m pytest tests/signaling/cluster $(ARGS)

$(CLUSTER)/.installed: requirements.txt requirements-cluster.txt constraints.txt
	$(PYTHON) -m venv $(CLUSTER)
	$(CLUSTER)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-r requirements.txt -r requirements-cluster.txt pytest pytest-timeout
	touch $@

bench: $(VENV)/.test browser
	$(BIN)/python -m tests.e2e.bench $(ARGS)

# What the server is put through: hostile input, clients that die, hours of coming and going; on loopback, MINUTES long.
soak: $(VENV)/.test
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --out soak.json $(ARGS)

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
	rm -rf $(VENV) $(NODE_DIR)
