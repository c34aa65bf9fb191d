#!/bin/sh
# build.sh DIRECTORY PYTHON...: build into DIRECTORY what needs only Python: the source distribution, the wheel, the one file for
# these Pythons, its SBOM, and beside them constraints.txt and the release notes.
#
# One commit gives the same bytes in any directory, for any user, umask, time zone and locale, as long as the tools are the same.
# So everything is built from a copy of the tracked files, in the order of the alphabet and with the time of the commit. The wheel
# is built from the source distribution, which proves that nothing is missing there. TOOLS is the directory of the programs,
# .venv/bin by default.
set -eu
umask 022

root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
directory=$(cd "$1" && pwd)
shift
tools=$(cd "${TOOLS:-$root/.venv/bin}" && pwd)
viewer=was_daemon/web/viewer/openseadragon
SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct)
export SOURCE_DATE_EPOCH LC_ALL=C.UTF-8 TZ=UTC0 PYTHONHASHSEED=0

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
mkdir "$build/source" "$build/unpacked"

cd "$root"
if [ ! -e $viewer/openseadragon.js ]; then
    sh etc/viewer/fetch.sh $viewer "$tools/python"
fi
{
    git ls-files -z
    find "$(dirname $viewer)" -path "$viewer/*" -type f -print0
} | tar --create --null --files-from=- --mode=u=rwX,go=rX | tar --extract --directory="$build/source"

cd "$build/source"
"$tools/python" -m build --sdist --outdir "$build/sdist" . >"$build/log" 2>&1 || { cat "$build/log"; exit 1; }
"$tools/python" etc/dist/repack.py "$build"/sdist/*.tar.gz
tar --extract --file="$(echo "$build"/sdist/*.tar.gz)" --directory="$build/unpacked" --strip-components=1
"$tools/python" -m build --wheel --outdir "$build/wheel" "$build/unpacked" >"$build/log" 2>&1 || { cat "$build/log"; exit 1; }

file=$directory/was-daemon-$("$tools/python" etc/dist/release.py version).pyz
cp "$build"/sdist/*.tar.gz "$build"/wheel/*.whl constraints.txt "$directory"
SHIV=$tools/shiv etc/dist/one-file.sh "$build"/wheel/*.whl "$file" "$@"
CYCLONEDX=$tools/cyclonedx-py etc/dist/sbom.sh "$file"
"$tools/python" etc/dist/release.py notes >"$directory/RELEASE-NOTES.md"
