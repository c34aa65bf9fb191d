#!/bin/sh
# build.sh DIRECTORY [OPTION...]: build the image with docker, buildah or podman, whichever works here, and save it in DIRECTORY as
# was-daemon-VERSION-image-MACHINE.tar.gz. The options are for the build, such as --build-arg EXTRAS=databases,raw,s3.
#
# The archive has Docker's format, which all three load: OCI's has no health check, and Docker before 25 cannot load it. With buildah and
# podman, the same sources, packages and base give the same archive: all times in it are $SOURCE_DATE_EPOCH, or that of the last commit.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
directory=$(realpath "$1")
shift
cd "$here/../.."
image=localhost/was-daemon:latest
base=$(sed -n 's/^FROM \(.*\) AS python$/\1/p' "$here/Dockerfile")
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' was_daemon/__init__.py)
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
archive=$directory/was-daemon-$version-image-$(uname -m).tar

# There may be a client of Docker's without its engine.
if docker version >/dev/null 2>&1; then
    tool=docker
elif command -v buildah >/dev/null; then
    tool=buildah
elif command -v podman >/dev/null; then
    tool=podman
else
    echo "build.sh: Docker's engine does not run here, and neither buildah nor podman is installed" >&2
    exit 1
fi
if [ -z "$($tool images --quiet "$base" 2>/dev/null)" ] && ! $tool pull "$base"; then
    echo "build.sh: no registry of images is reached, so the base is made of Debian's packages" >&2
    sh "$here/base.sh" "$tool" "$base"
fi

set -- --file "$here/Dockerfile" --tag "$image" --build-arg "VERSION=$version" "$@" .
rm -f "$archive"
case $tool in
docker)
    docker build --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" "$@"
    docker save --output "$archive" "$image"
    ;;
buildah)
    buildah build --format docker --timestamp "$SOURCE_DATE_EPOCH" "$@"
    buildah push --quiet "$image" "docker-archive:$archive:$image"
    python3 "$here/normalise.py" "$archive"
    ;;
podman)
    podman build --format docker --timestamp "$SOURCE_DATE_EPOCH" "$@"
    podman save --quiet --format docker-archive --output "$archive" "$image"
    python3 "$here/normalise.py" "$archive"
    ;;
esac
gzip --force --no-name "$archive"
ls -l "$archive.gz"
