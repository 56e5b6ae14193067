# `make demo` (the main job), `make test` (the suite), `make docs` (documentation and gallery),
# `make dist` (what is published).
# PYTHON chooses the interpreter, VENV the environment's folder.
PYTHON ?= python3
VENV ?= .venv
# one BLAS thread per worker: more would only wait for each other
export OPENBLAS_NUM_THREADS = 1
BIN = $(VENV)/bin
# another PYTHON means another stamp, so the environment is made anew
STAMP = $(VENV)/installed-by-$(subst /,_,$(PYTHON))

.PHONY: demo test check docs dist clean

$(STAMP): pyproject.toml
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

# in an environment of its own, since tests need none of it; warnings are errors
docs:
	$(PYTHON) -m venv $(VENV)-docs
	$(VENV)-docs/bin/python -m pip install --quiet --upgrade pip
	$(VENV)-docs/bin/python -m pip install --quiet --editable ".[doc]"
	$(VENV)-docs/bin/python -m sphinx -q -W --keep-going -b html doc doc/_build/html
	@echo "documentation: doc/_build/html/index.html"

# builds both archives, then runs the README's example on the wheel, in an environment of its own
dist:
	rm -rf dist
	$(PYTHON) -m venv --clear $(VENV)-dist
	$(VENV)-dist/bin/python -m pip install --quiet --upgrade pip build twine
	$(VENV)-dist/bin/python -m build
	$(VENV)-dist/bin/python -m twine check --strict dist/*
	$(PYTHON) -m venv --clear $(VENV)-wheel
	$(VENV)-wheel/bin/python -m pip install --quiet --upgrade pip
	$(VENV)-wheel/bin/python -m pip install --quiet "$$(ls dist/*.whl)[plot]"
	sed -n '/^```python/,/^```$$/ { /^```/! p; }' README.md > $(VENV)-wheel/readme.py
	cd $(VENV)-wheel && MPLBACKEND=agg bin/python readme.py

clean:
	rm -rf $(VENV) $(VENV)-docs $(VENV)-dist $(VENV)-wheel output build dist doc/_build
