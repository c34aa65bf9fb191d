#!/bin/sh
# base.sh TOOL IMAGE: make the base image IMAGE, such as docker.io/library/debian:trixie-slim, from Debian's packages with mmdebstrap.
#
# For machines that reach no registry of images. TOOL is docker, podman or buildah. Debian makes its images in the same way: of the
# essential packages and apt, without manuals. All times in it are $SOURCE_DATE_EPOCH.
set -eu

tool=$1 image=$2
suite=${image##*:}
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

mmdebstrap --quiet --variant=minbase --mode=root --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' "${suite%-slim}" "$build/base.tar"
case $tool in
buildah)
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$build/base.tar" / >/dev/null
    buildah commit --quiet --rm --timestamp "$SOURCE_DATE_EPOCH" "$container" "$image"
    ;;
*)
    $tool import "$build/base.tar" "$image"
    ;;
esac
