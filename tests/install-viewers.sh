#!/bin/sh
# Puts packages of npm, each NAME@VERSION, into .venv/viewers/NAME, without what they depend on: viewers come in one piece.
set -eu

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
for package in "$@"; do
    archive=$(npm pack --silent --pack-destination "$directory" "$package")
    mkdir -p "$directory/viewers/${package%@*}"
    tar -xzf "$directory/$archive" -C "$directory/viewers/${package%@*}" --strip-components=1
done
mv "$directory/viewers" .venv/viewers
