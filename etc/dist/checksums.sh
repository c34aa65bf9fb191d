#!/bin/sh
# checksums.sh DIRECTORY: write the SHA-256 of each file in DIRECTORY to SHA256SUMS there, for `sha256sum --check`.
set -eu
cd "$1"
find . -type f ! -name SHA256SUMS -printf '%P\0' | LC_ALL=C sort --zero-terminated | xargs --null sha256sum -- >SHA256SUMS
