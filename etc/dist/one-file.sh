#!/bin/sh
# one-file.sh WHEEL FILE PYTHON...: pack a wheel and its dependencies into one executable FILE, for each of these Pythons.
#
# Dependencies have the versions in constraints.txt, and their hashes are checked.
# Botocore is included for S3, without its descriptions of 400 services of Amazon's; those that issue credentials are kept.
# File names of C modules contain the version of Python, so modules for several versions can be in the same directory.
set -eu

here=$(dirname "$0")
wheel=$1 file=$2 constraints=$here/../../constraints.txt
shift 2
if [ $# -eq 0 ]; then
    echo "one-file.sh: there is no Python to pack the file for" >&2
    exit 2
fi
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
mkdir "$build/all"

for python in "$@"; do
    "$python" -m venv "$build/pip"
    "$build/pip/bin/python" -m pip wheel --quiet --no-deps --require-hashes --wheel-dir "$build/wheels" \
        --requirement "$constraints"
    cp "$wheel" "$build/wheels"
    # Only from these files, whatever pip's configuration says.
    PIP_CONFIG_FILE=/dev/null "$build/pip/bin/python" -m pip --isolated install --quiet --no-compile \
        --no-warn-conflicts --no-index --find-links "$build/wheels" --target "$build/one" 'was-daemon[s3]'
    "$here/trim-botocore.sh" "$build/one"
    # Scripts, whose first lines name a directory of this machine, are not packed; so they are no part of any package.
    rm -rf "$build/one/bin"
    sed -i '/^\(\.\.\/\.\.\/\)\?bin\//d' "$build"/one/*.dist-info/RECORD
    # Compiled here, since workers cannot write .pyc files; unchecked, since unpacking changes the files' times.
    "$python" -m compileall -q --invalidation-mode unchecked-hash -s "$build/one" "$build/one"
    cp -Rn "$build/one/." "$build/all"
    "$python" -c 'import sys; print(*sys.version_info[:2], sep=".")' >>"$build/pythons"
    rm -rf "$build/one" "$build/pip" "$build/wheels"
done

{
    echo "PYTHONS = '$(paste -sd' ' "$build/pythons")'"
    cat "$here/preamble.py"
} >"$build/preamble.py"
"${SHIV:-shiv}" --site-packages "$build/all" --preamble "$build/preamble.py" \
    --entry-point was_daemon.cli.main:main --python '/usr/bin/env python3' --output-file "$file"
# shiv leaves out what is compiled.
"$python" "$here/repack.py" "$file" "__main__.py=$here/main.py" "site-packages=$build/all"
