#!/bin/sh
# sbom.sh FILE.pyz: write the SBOM of a file made by one-file.sh to FILE.cdx.json, in CycloneDX format: packages, versions, licences.
#
# The same file always gives the same SBOM: it contains no times, no random numbers, and nothing of this machine.
set -eu

file=$1
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

# An environment with the packages of the file and no others.
python3 -m venv --without-pip "$build/all"
python3 -m zipfile --extract "$file" "$build/file"
cp -R "$build/file/site-packages/." "$build"/all/lib/python*/site-packages
# Some packages state their licence only as a text.
"${CYCLONEDX:-cyclonedx-py}" environment --output-reproducible --gather-license-texts \
    --output-file "${file%.pyz}.cdx.json" "$build/all"
