#!/bin/sh
# sbom.sh FILE.pyz: list in FILE.cdx.json, in CycloneDX's form, what is packed in a file of one-file.sh: versions and licences.
#
# The same file gives the same list: there is no time in it, no random number, and nothing of this machine.
set -eu

file=$1
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

# What is asked is an environment that has the file's packages, and nothing else.
python3 -m venv --without-pip "$build/all"
python3 -m zipfile --extract "$file" "$build/file"
cp -R "$build/file/site-packages/." "$build"/all/lib/python*/site-packages
# Of some packages the licence is a text and has no other name.
"${CYCLONEDX:-cyclonedx-py}" environment --output-reproducible --gather-license-texts \
    --output-file "${file%.pyz}.cdx.json" "$build/all"
