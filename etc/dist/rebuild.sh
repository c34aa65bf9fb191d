#!/bin/sh
# rebuild.sh DIRECTORY PYTHON...: build the last commit a second time, and compare each file with its like in DIRECTORY.
#
# The second build is in a fresh clone, at another place, with another umask, time zone, locale and hash seed. TOOLS is as for
# build.sh. If a file differs, the exit status is 1.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
directory=$(cd "$1" && pwd)
shift
TOOLS=${TOOLS:-$root/.venv/bin}
export TOOLS

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
umask 077
git clone --quiet "$root" "$build/another-place"
mkdir "$build/again"
env TZ=Pacific/Chatham LC_ALL=C PYTHONHASHSEED=4711 "$build/another-place/etc/dist/build.sh" "$build/again" "$@" \
    >"$build/log" 2>&1 || { cat "$build/log" >&2; exit 1; }

differing=0
for file in "$build"/again/*; do
    name=${file##*/}
    if cmp -s "$file" "$directory/$name"; then
        echo "the same: $name"
    else
        echo "differs:  $name" >&2
        differing=1
    fi
done
exit $differing
