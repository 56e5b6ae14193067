# Two commands: `make demo` (the main job) and `make test` (the suite).
# PYTHON chooses the interpreter, VENV the environment's folder.
PYTHON ?= python3
VENV ?= .venv
# one BLAS thread per worker: more would only wait for each other
export OPENBLAS_NUM_THREADS = 1
BIN = $(VENV)/bin
# another PYTHON means another stamp, so the environment is made anew
STAMP = $(VENV)/installed-by-$(subst /,_,$(PYTHON))

.PHONY: demo test check clean

$(STAMP): setup.cfg pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: $(STAMP)
	$(BIN)/python examples/01_regressors/plot_wind_power.py

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) output
