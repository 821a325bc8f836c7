# Everything on a machine with nothing but Python 3.11 and pip.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test campaign torture bench lock clean

demo: .venv/ready
	$(BIN)/bookferry demo --once

test: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 --dist worksteal

# The long forms: every crash at every occurrence, fifty quiet cycles of every pair.
campaign: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal -m campaign

# One seed, one world: `make torture SEEDS=1000`.
SEEDS ?= 100
torture: .venv/ready
	tests/bookferry-torture --seeds $(SEEDS) --jobs 2

bench: .venv/ready
	$(BIN)/python -m tests.bench

# The locked dependencies, then the project itself: an environment of its own, since its folders are top-level packages.
.venv/ready: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	ln -sf ../../tests/bookferry-torture $(BIN)/bookferry-torture
	touch $@

lock:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --no-emit-index-url --no-header --generate-hashes \
		--group dev pyproject.toml -o requirements.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis build dist
