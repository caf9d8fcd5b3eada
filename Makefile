# Everything runs in .venv, which is made at the first use and again when the dependencies change.
#   make demo    train on made-up scenes, print the scores, write overlays
#   make test    all tests
#   make check   format, lint, types, and the tests that are not slow
#   make docs    the documentation site, in build/site
#   make dist    source archive and wheel in dist/, checked
#   make lowest  a handful of tests on the lowest versions that are supported
#   make matrix  the tests that are not slow on many versions, as a table in build/matrix
#   make clean   remove .venv, work_dirs, and what tools have cached

PYTHON ?= python3
# What to install.
EXTRAS ?= toolbox,cpu,geo,export,docs,tests

# Processes that share the tests.
WORKERS ?= auto

VENV := .venv
PY := $(VENV)/bin/python
# A thread each, as there are as many processes as cores; idle ones sleep rather than spin.
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(PY) -m pytest -n $(WORKERS) --dist worksteal
STAMP := $(VENV)/.installed

.PHONY: help demo test check style fast slow docs lowest matrix install dist clean

help:
	@sed -n 's/^#   //p' Makefile

demo: install
	$(PY) tools/demo.py

# In one call, `make test check` runs the fast tests once.
test: fast slow

check: style fast

style: install
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy mmseg_picie

fast: install
	$(PYTEST) -m 'not slow'

slow: install
	$(PYTEST) -m slow

# Broken links and anchors, names that the reference lacks and misspelt words are errors.
docs: install
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict
	$(PY) -m codespell_lib README.md CONTRIBUTING.md CHANGELOG.md SECURITY.md \
		docs mmseg_picie configs tools benchmarks

lowest:
	$(PYTHON) .ci/matrix.py --quick --rows lowest

matrix:
	$(PYTHON) .ci/matrix.py

install: $(STAMP)

$(STAMP): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --disable-pip-version-check -e '.[$(EXTRAS)]'
	touch $(STAMP)

dist: install
	rm -rf build/lib dist
	$(PY) -m build
	$(PY) -m twine check --strict dist/*
	$(VENV)/bin/check-wheel-contents dist/*.whl

clean:
	rm -rf $(VENV) work_dirs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
