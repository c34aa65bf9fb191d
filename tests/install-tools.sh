#!/bin/sh
# Installs the servers, the browser and exiftool, which some tests use, and the packages that are named. Without root it
# changes nothing, and those tests are skipped. What does not come from Debian goes into .venv: s3rver, the viewers Mirador
# and Universal Viewer from npm, and iiif-prezi3, which asks for an older Pillow than it needs.
set -eu

missing=""
for package in openssh-server openssh-client apache2 nginx-extras php-cli php-sabre-dav systemd chromium libimage-exiftool-perl postgresql mariadb-server rsync "$@"; do
    if [ "$package" = s3rver ]; then
        [ -d .venv/s3rver ] || npm install --silent --no-fund --no-audit --prefix .venv/s3rver s3rver@3.7.1 >/dev/null ||
            echo "Not installed, the tests that need it are skipped: s3rver"
        continue
    fi
    if [ "$package" = viewers ]; then
        [ -d .venv/viewers ] || sh tests/install-viewers.sh mirador@4.0.0 universalviewer@4.4.0 ||
            echo "Not installed, the tests that need them are skipped: viewers"
        continue
    fi
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -d .venv/iiif-prezi3 ] ||
    .venv/bin/python -m pip install --quiet --no-deps --target .venv/iiif-prezi3 iiif-prezi3==3.1.1 ||
    echo "Not installed, the tests that need it are skipped: iiif-prezi3"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed, the tests that need them are skipped:$missing"
    exit 0
fi
apt-get update -qq
known=""
for package in $missing; do
    # Not every release has all of them.
    if apt-cache show "$package" >/dev/null 2>&1; then known="$known $package"; else
        echo "Not to be had here, the tests that need it are skipped: $package"
    fi
done
[ -n "$known" ] || exit 0
# Not started as services: each test starts its own.
DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $known >/dev/null
