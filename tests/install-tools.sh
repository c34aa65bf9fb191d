#!/bin/sh
# Installs the servers, the browser and exiftool, which some tests use, and the packages that are named. Without root it
# changes nothing, and those tests are skipped. The package s3rver comes from npm, and goes into .venv.
set -eu

missing=""
for package in openssh-server openssh-client apache2 nginx-extras php-cli php-sabre-dav systemd chromium libimage-exiftool-perl postgresql mariadb-server "$@"; do
    if [ "$package" = s3rver ]; then
        [ -d .venv/s3rver ] || npm install --silent --no-fund --no-audit --prefix .venv/s3rver s3rver@3.7.1 >/dev/null ||
            echo "Not installed, the tests that need it are skipped: s3rver"
        continue
    fi
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
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
