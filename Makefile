# `make conform` and `make test` are the two commands of the README; each makes the environment it needs.
# `make check` is what CI runs.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2
STORE ?= demo-store
PORT ?= 8000

.PHONY: browser help serve soak conform conform-ci test check format lint types coverage tests-editable tests-wheel bench fuzz clean

help:
	@echo "make serve     serve a demonstration repo (VOLUME=file for your own, STORE=, PORT=)"
	@echo "make conform   prove every installed engine and datatype, clause by clause"
	@echo "make test      run the tests"
	@echo "make soak      kill a server 1000 times under load (KILLS=, ENGINE=)"
	@echo "make check     what CI runs: format, lint, types, tests, tests on the built wheel, the kit's ci profile"
	@echo "make fuzz      random requests against a live service (CASES=20000)"
	@echo "make bench     measure speed as ratios to the raw drivers"

$(VENV)/.users: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[all]'
	@touch $@

$(VENV)/.developers: $(VENV)/.users
	$(BIN)/python -m pip install --quiet --editable '.[all]' --group dev --group clients
	@touch $@

# A demonstration repo in $(STORE), which stays; with VOLUME=file of one's own PNG, TIFF, npy or npz.
serve: $(VENV)/.users
	$(BIN)/dvidkit demo "$(STORE)" --serve --port $(PORT) $(if $(VOLUME),--volume "$(VOLUME)")

soak: $(VENV)/.users
	nice -n 19 $(BIN)/python -m dvidkit_conformance.service.soak --kills $(or $(KILLS),1000) --engine $(or $(ENGINE),lmdb) --keep

conform: $(VENV)/.users
	$(BIN)/dvidkit conform --all --profile $(or $(PROFILE),quick)

test: tests-editable

check: browser format lint types tests-editable tests-wheel conform-ci

# Every engine and datatype at the profile ci; fails unless all conform. The reports stay in build/conformance.
conform-ci: $(VENV)/.developers
	rm -rf build/conformance
	$(BIN)/dvidkit conform --all --profile ci --report build/conformance

# A browser for the tests of pages, where it can be installed; without one they are skipped, and say so.
browser:
	@command -v chromium >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 || echo "no chromium: pages are NOT TESTED"

format: $(VENV)/.developers
	$(BIN)/ruff format --check .

lint: $(VENV)/.developers
	$(BIN)/ruff check .

types: $(VENV)/.developers
	$(BIN)/mypy
	$(BIN)/pyright --warnings

tests-editable: $(VENV)/.developers
	$(BIN)/python -m pytest -n $(JOBS)

# The same tests against the built wheel, from an empty directory, so that nothing is found by being beside it.
tests-wheel: $(VENV)/.developers
	rm -rf build/wheel && mkdir -p build/wheel/empty
	$(BIN)/python -m build --quiet --wheel --outdir build/wheel .
	$(BIN)/check-wheel-contents build/wheel/*.whl
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet --upgrade pip
	build/wheel/venv/bin/python -m pip install --quiet "$$(ls build/wheel/*.whl)[all]" --group pyproject.toml:dev --group pyproject.toml:clients
	cd build/wheel/empty && ../venv/bin/python -m pytest -n $(JOBS) -c $(CURDIR)/pyproject.toml --rootdir $(CURDIR) $(CURDIR)/tests

bench: $(VENV)/.developers
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m benchmarks $(ARGS)

# Random requests by the service's own OpenAPI document: none may be answered 5xx.
fuzz: $(VENV)/.developers
	$(BIN)/python -m pip install --quiet --group fuzz
	$(BIN)/python tests/http/fuzz/fuzz.py --cases $(or $(CASES),20000)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis reports
