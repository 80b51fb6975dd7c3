# `make demo` and `make test` need only python3 >= 3.11 with venv, git and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
JOBS   ?= 2

.PHONY: demo test test-all bench picture compatibility lint format lock clean

demo: $(VENV)/ready
	@$(BIN)/whimbrel demo

test: lint
	@$(BIN)/pytest -q -n $(JOBS) --dist loadfile -m "not slow"

test-all: lint
	@$(BIN)/pytest -q -n $(JOBS) --dist loadfile

# Some 30 minutes. The peers are in an environment of their own.
bench: $(VENV)/ready $(VENV)-bench/ready
	@$(BIN)/python -m benchmarks $(BENCH)

picture: $(VENV)/ready
	@$(BIN)/python docs/picture.py

# docs/host-compatibility.md
compatibility: $(VENV)/ready
	@PYTHONPATH=. $(BIN)/python docs/compatibility.py

lint: $(VENV)/ready
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/ready
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# Every wheel's hash is checked; the project itself is installed without looking for anything more.
$(VENV)/ready: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what requirements.lock pins into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(VENV)-bench/ready: benchmarks/requirements.lock
	@test -x $(VENV)-bench/bin/python || $(PYTHON) -m venv $(VENV)-bench
	@$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# Needs uv: resolves pyproject.toml anew for every platform and Python that it admits.
lock:
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra dev --no-header --no-annotate \
	  --upgrade pyproject.toml -o requirements.lock
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --upgrade benchmarks/requirements.in -o benchmarks/requirements.lock

clean:
	@rm -rf $(VENV) $(VENV)-bench demo dist build
