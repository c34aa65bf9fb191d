PYTHON ?= python3
VENV = .venv
SOURCES = pyproject.toml setup.py $(shell find was_daemon storage_plugins twisted -name '*.py')

.PHONY: install run test test-slow lint bench clean

install: $(VENV)/installed

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip

$(VENV)/installed: $(VENV)/bin/python $(SOURCES)
	rm -rf build
	$(VENV)/bin/python -m pip install --quiet --upgrade --upgrade-strategy only-if-needed ".[dev]"
	touch $@

run: install
	$(VENV)/bin/twistd --nodaemon --pidfile= was

test: install
	sh tests/install-tools.sh
	$(VENV)/bin/python -m pytest -n auto --dist loadfile

test-slow: install
	sh tests/install-tools.sh
	$(VENV)/bin/python -m pytest -n auto --dist loadfile -m slow

lint: install
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

bench: install
	sh tests/install-tools.sh curl imagemagick libvips-tools wrk
	$(VENV)/bin/python -m bench

clean:
	rm -rf $(VENV) build *.egg-info
