# Everything a newcomer needs: `make run`, `make demo`, `make test`. Each does its own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help run demo test quick campaign check format bench peers lock forget clean

help:  ## list what there is to make
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(VENV)/.runtime: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

# The Table service that the state stores are tested against. Without npm the tests say aloud that they did not run; in CI they fail.
$(VENV)/.azurite: tests/azurite/package.json tests/azurite/package-lock.json | $(VENV)/.dev
	@if command -v npm >/dev/null; then \
		mkdir -p $(VENV)/azurite && cp tests/azurite/package.json tests/azurite/package-lock.json tests/azurite/.npmrc $(VENV)/azurite/ \
		&& npm ci --prefix $(VENV)/azurite --loglevel error && touch $@; \
	else echo "npm is missing: the tests of the Table service will not run"; fi

# Microsoft's engine of the Functions worker, in a folder of its own: it names a Python that we do not run, and nothing of ours imports it.
$(VENV)/.functions: tests/functions/requirements.txt | $(VENV)/.dev
	rm -rf $(VENV)/functions
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --ignore-requires-python --target $(VENV)/functions \
		-r tests/functions/requirements.txt
	@touch $@

# A client for Halo's API that somebody else wrote, in a folder of its own: a test runs it as a program, and nothing of ours imports it.
$(VENV)/.halopsa: tests/halopsa/requirements.txt | $(VENV)/.dev
	rm -rf $(VENV)/halopsa
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --target $(VENV)/halopsa \
		-r tests/halopsa/requirements.txt
	@touch $@

run: $(VENV)/.runtime  ## everything on this machine, with a first day played before your eyes
	@$(BIN)/joinery up

demo: $(VENV)/.runtime  ## the same at full speed in a temporary folder, with a table of what was verified
	@$(BIN)/joinery demo

# Three at once on two cores: many tests wait for what a clock or another process does.
test: $(VENV)/.dev $(VENV)/.azurite $(VENV)/.functions $(VENV)/.halopsa  ## all tests
	$(BIN)/python -m pytest -n 3 --dist loadgroup

quick: $(VENV)/.dev  ## the tests that start no server and no process
	$(BIN)/python -m pytest -n 2 -m "not servers"

check: $(VENV)/.dev  ## lint, formatting, types, and that infra/ agrees with the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=scripts $(BIN)/python -m check_infra

format: $(VENV)/.dev  ## let ruff put things in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

campaign: $(VENV)/.dev $(VENV)/.azurite $(VENV)/.functions $(VENV)/.halopsa  ## the long fault campaigns: many kills, every crash point
	JOINERY_CAMPAIGN=1 $(BIN)/python -m pytest -n 2 --dist loadgroup --timeout 2400 tests/acceptance tests/crash
	$(BIN)/python -m tests.simulation --seeds 0..9999 --jobs 2

bench: $(VENV)/.dev  ## the figures, measured here and now
	$(BIN)/python -m benchmarks

peers: $(VENV)/.peers  ## install what `make bench` then measures beside us, in an environment of its own

$(VENV)/.peers: requirements-bench.txt | $(VENV)/.dev
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.txt
	@touch $@

lock: $(VENV)/.dev  ## rewrite the locks from the .in files (needs uv)
	sh scripts/lock

forget:  ## remove the local data; the environment stays
	rm -rf .joinery

clean: forget  ## remove the environment and the local data
	rm -rf $(VENV)
