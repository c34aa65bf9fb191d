PYTHON ?= python3
VENV = .venv
# Parallel test processes; more than processors, since most tests wait for servers.
WORKERS = 6
PYTHONS ?= $(shell for python in python3.11 python3.12 python3.13 python3.14; do if $$python -c '' 2>/dev/null; then echo $$python; fi; done)
# The one that `make deb` makes a package for.
ARCHITECTURE ?= $(shell dpkg --print-architecture 2>/dev/null)
SOURCES = pyproject.toml setup.py $(shell find was_daemon storage_plugins twisted -name '*.py' -o -path '*/web/viewer/*.html' -o -path '*/web/*/static/*')
# What the viewer takes from npm. It is not in the repository; where it cannot be fetched, the daemon has no viewer.
VIEWER = was_daemon/web/viewer/openseadragon

.PHONY: install run test test-slow lint bench docs constraints dist deb image release clean

install: $(VENV)/installed

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or later is needed: where it has another name, add PYTHON=python3.11 to the command'; exit 1; }
	@$(PYTHON) -c 'import ensurepip' || { echo 'Python lacks its venv module: on Debian and Ubuntu, install python3-venv'; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	$(VENV)/bin/python -m pip install --quiet --upgrade pip

$(VIEWER)/openseadragon.js: etc/viewer/package-lock.json | $(VENV)/bin/python
	sh etc/viewer/fetch.sh $(VIEWER) $(VENV)/bin/python

$(VENV)/installed: $(VENV)/bin/python $(VIEWER)/openseadragon.js $(SOURCES)
	rm -rf build
	$(VENV)/bin/python -m pip install --quiet --upgrade --upgrade-strategy only-if-needed ".[dev]"
	touch $@

run: install
	$(VENV)/bin/twistd --nodaemon --pidfile= was

test: install
	sh tests/install-tools.sh
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile

test-slow: install
	sh tests/install-tools.sh s3rver viewers radosgw ceph-mon ceph-osd buildah podman netavark aardvark-dns iptables runc catatonit mmdebstrap \
	    dpkg-dev lintian man-db
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile -m slow

lint: install
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

bench: install
	sh tests/install-tools.sh curl imagemagick libvips-tools iipimage-server poppler-utils wrk radosgw ceph-mon ceph-osd
	$(VENV)/bin/python -m bench

docs: install
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

# The newest versions that pyproject.toml allows, for every Python from the oldest one on, with the hashes of all their files.
# The index is not named in the file: the hashes are the same in every index.
constraints: install
	$(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --extra databases --extra raw --extra s3 \
	    --generate-hashes --no-emit-index-url --no-emit-find-links --annotation-style line \
	    --custom-compile-command "make constraints" --output-file constraints.txt pyproject.toml

# What can be built without root: PYTHONS are the versions of Python that the one file can run on, those that this machine has.
dist: install
	rm -rf dist
	etc/dist/build.sh dist $(PYTHONS)
	etc/dist/checksums.sh dist
	ls -l dist

# All that is released, from a commit that may be, tested and built twice. What is new in the list of stable names has to be committed
# before. CI: a test whose tool is missing fails.
release: install
	$(VENV)/bin/python -m tests.support.stable
	$(VENV)/bin/python etc/dist/release.py check
	$(MAKE) lint
	CI=true $(MAKE) test
	$(MAKE) dist
	sh tests/install-tools.sh buildah mmdebstrap
	$(MAKE) deb image
	etc/dist/rebuild.sh dist $(PYTHONS)
	etc/dist/checksums.sh dist

# IMAGE_OPTIONS are options of the build: see docs/containers.md.
image: $(VIEWER)/openseadragon.js
	mkdir -p dist
	sh etc/docker/build.sh dist $(IMAGE_OPTIONS)

# For another architecture: make deb ARCHITECTURE=arm64. See etc/dist/deb.sh for what variables change.
deb: install
	rm -rf build dist/was-daemon_*_$(ARCHITECTURE).deb
	$(VENV)/bin/python -m build --outdir build/deb
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" etc/dist/deb.sh build/deb/*.whl "$(ARCHITECTURE)" dist

clean:
	rm -rf $(VENV) $(VIEWER) build dist *.egg-info
