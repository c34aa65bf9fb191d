#!/bin/sh
# one-file.sh WHEEL FILE PYTHON...: pack a wheel and its dependencies into one executable FILE, for each of these Pythons.
#
# Dependencies have the versions in constraints.txt, and their hashes are checked.
# Botocore is included for S3, without its descriptions of 400 services of Amazon's; those that issue credentials are kept.
# File names of C modules contain the version of Python, so modules for several versions can be in the same directory.
set -eu

wheel=$1 file=$2 constraints=$(dirname "$0")/../../constraints.txt
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
    "$(dirname "$0")/trim-botocore.sh" "$build/one"
    # Compiled here, since workers cannot write .pyc files; unchecked, since unpacking changes the files' times.
    "$python" -m compileall -q --invalidation-mode unchecked-hash "$build/one"
    cp -Rn "$build/one/." "$build/all"
    "$python" -c 'import sys; print(*sys.version_info[:2], sep=".")' >>"$build/pythons"
    rm -rf "$build/one" "$build/pip" "$build/wheels"
done

{
    echo "PYTHONS = '$(paste -sd' ' "$build/pythons")'"
    cat "$(dirname "$0")/preamble.py"
} >"$build/preamble.py"
rm -rf "$build/all/bin"
"${SHIV:-shiv}" --site-packages "$build/all" --preamble "$build/preamble.py" \
    --entry-point was_daemon.cli.main:main --python '/usr/bin/env python3' --output-file "$file"
# If an archive has two files of the same name, the later one is used.
"$python" -W ignore -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1], "a").write(sys.argv[2], "__main__.py")' \
    "$file" "$(dirname "$0")/main.py"
