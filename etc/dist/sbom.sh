#!/bin/sh
# sbom.sh FILE.pyz: write the SBOM of a file made by one-file.sh to FILE.cdx.json, in CycloneDX format: packages, versions, licences.
#
# OpenSeadragon, which the viewer loads into browsers, is a package of npm's, and is added by its own description.
# The same file always gives the same SBOM: it contains no time but $SOURCE_DATE_EPOCH, no random numbers, and nothing of this machine.
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
python3 - "$build" "${file%.pyz}.cdx.json" <<'END'
import json
import pathlib
import sys

build, sbom = map(pathlib.Path, sys.argv[1:])
document = json.loads(sbom.read_text("utf-8"))
for description in sorted(build.glob("file/site-packages/was_daemon/web/viewer/*/package.json")):
    package = json.loads(description.read_text("utf-8"))
    name, version = package["name"], package["version"]
    document["components"].append(
        {
            "bom-ref": f"pkg:npm/{name}@{version}",
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:npm/{name}@{version}",
            "licenses": [{"license": {"id": package["license"]}}],
        }
    )
sbom.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
END
