#!/bin/sh
# rebuild.sh DIRECTORY PYTHON...: build the last commit a second time, and compare each file with its like in DIRECTORY.
#
# The second build is in a fresh clone, at another place, with another umask, time zone, locale and hash seed. TOOLS is as for
# build.sh, IMAGE_OPTIONS as for `make image`. The package and the image are built again if they are in DIRECTORY.
# If a file differs, the exit status is 1.
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

# Run a script of the clone in another environment, without a word unless it fails.
run() {
    script=$1
    shift
    env TZ=Pacific/Chatham LC_ALL=C PYTHONHASHSEED=4711 "PATH=$TOOLS:$PATH" sh "$build/another-place/etc/$script" "$@" \
        >"$build/log" 2>&1 || { cat "$build/log" >&2; exit 1; }
}

run dist/build.sh "$build/again" "$@"
for package in "$directory"/*.deb; do
    [ -e "$package" ] || continue
    architecture=${package##*_}
    run dist/deb.sh "$build"/again/*.whl "${architecture%.deb}" "$build/again"
done
for image in "$directory"/*-image-*; do
    [ -e "$image" ] || continue
    # shellcheck disable=SC2086 # several words
    run docker/build.sh "$build/again" ${IMAGE_OPTIONS:-}
done

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
