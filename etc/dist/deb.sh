#!/bin/sh
# deb.sh WHEEL ARCHITECTURE DIRECTORY: make the Debian package of a wheel, with everything that it needs but Python itself.
#
# The package holds a virtual environment, /usr/lib/was-daemon, for several versions of Python: an interpreter looks for packages in
# lib/pythonX.Y/site-packages of its own version. Files that several of them have are hard links. Dependencies have the versions in
# constraints.txt, and their hashes are checked. They come compiled, so the package can be made for another architecture, and without
# those Pythons. uv, and the commands of the wheel's version, are looked for on $PATH.
# The same sources always give the same bytes: all times are $SOURCE_DATE_EPOCH, by default that of the last commit.
# Other variables are $DEBFULLNAME and $DEBEMAIL, the maintainer, and $XZ_LEVEL: with 0 it is made faster, and larger.
set -eu

wheel=$1 architecture=$2 output=$3
sources=$(cd "$(dirname "$0")/../.." && pwd)
# The Pythons of Debian 12, Ubuntu 24.04 and Debian 13, the first one that is too new, and the C library of the oldest of the three.
pythons="3.11 3.12 3.13" after=3.14 glibc=2.36
case $architecture in
    amd64) machine=x86_64 ;;
    arm64) machine=aarch64 ;;
    *) echo "deb.sh: PyPI has no compiled packages for the architecture '$architecture': use amd64 or arm64" >&2 && exit 2 ;;
esac
# 1.2.0rc1 is older than 1.2.0; for dpkg that is 1.2.0~rc1.
version=$(basename "$wheel" | cut -d- -f2 | sed -E 's/\.?(a|b|rc|dev)([0-9]+)/~\1\2/')
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$sources" log -1 --format=%ct 2>/dev/null || stat -c %Y "$sources/CHANGELOG.md")}
export SOURCE_DATE_EPOCH
maintainer="${DEBFULLNAME:-The was_daemon contributors} <${DEBEMAIL:-noreply@was-daemon.invalid}>"

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
root=$build/root program=$build/root/usr/lib/was-daemon share=$build/root/usr/share
doc=$share/doc/was-daemon

# Copy a file into a directory of the package, which is made; under another name, if there is a third argument.
put() {
    mkdir -p "$root/$2"
    cp "$1" "$root/$2/${3:-$(basename "$1")}"
}

# -- the virtual environment --

for python in $pythons; do
    site=$program/lib/python$python/site-packages
    # pyvips has only a source package, without C.
    uv pip install --quiet --no-deps --require-hashes --only-binary :all: --no-binary pyvips --link-mode copy \
        --python-version "$python" --python-platform "$machine-manylinux_$(echo $glibc | tr . _)" \
        --target "$site" --requirement "$sources/constraints.txt"
    rm -rf "$site/bin" "$site/.lock"
    "$sources/etc/dist/trim-botocore.sh" "$site"
    python -m zipfile --extract "$wheel" "$site"
done
hardlink --quiet --content "$program/lib"

printf 'home = /usr/bin\ninclude-system-site-packages = false\n' >"$program/pyvenv.cfg"
mkdir -p "$program/bin" "$root/usr/bin"
ln -s ../../../bin/python3 "$program/bin/python3"
ln -s ../lib/was-daemon/bin/was-daemon "$root/usr/bin/was-daemon"
for command in was-daemon=was_daemon.cli.main:main twistd=twisted.scripts.twistd:run; do
    module=${command#*=} function=${command#*:}
    printf '#!/usr/lib/was-daemon/bin/python3\nimport sys\n\nfrom %s import %s\n\nsys.exit(%s())\n' \
        "${module%:*}" "$function" "$function" >"$program/bin/${command%%=*}"
    chmod +x "$program/bin/${command%%=*}"
done

# -- the service, its configuration, manual pages and completion --

for unit in "$sources"/etc/was-daemon*.service "$sources"/etc/was-daemon*.socket; do
    put "$unit" usr/lib/systemd/system
done
# What they need is there: the package brings it.
sed -i -e 's|/opt/was-daemon/bin|/usr/lib/was-daemon/bin|' -e '/^# It needs:/,/^#$/d' "$root"/usr/lib/systemd/system/*
put "$sources/etc/debian/tmpfiles.conf" usr/lib/tmpfiles.d was-daemon.conf

mkdir -p "$root/etc/was-daemon" "$share/man/man1" "$share/man/man5" "$share/bash-completion/completions" \
    "$share/zsh/vendor-completions" "$share/fish/vendor_completions.d"
python "$sources/etc/debian/conffile.py" >"$root/etc/was-daemon/was.toml"
python "$sources/etc/dist/manual.py" was-daemon.1 >"$share/man/man1/was-daemon.1"
python "$sources/etc/dist/manual.py" was.toml.5 >"$share/man/man5/was.toml.5"
_WAS_DAEMON_COMPLETE=bash_source was-daemon >"$share/bash-completion/completions/was-daemon"
_WAS_DAEMON_COMPLETE=zsh_source was-daemon >"$share/zsh/vendor-completions/_was-daemon"
_WAS_DAEMON_COMPLETE=fish_source was-daemon >"$share/fish/vendor_completions.d/was-daemon.fish"

# -- documents, and the files that they link to; below examples, these have the paths that docs/install.md uses --

put "$sources/etc/debian/README.Debian" usr/share/doc/was-daemon
python "$sources/etc/debian/guides.py" "$doc"
python "$sources/etc/debian/copyright.py" "$program/lib" >"$doc/copyright"
printf 'was-daemon (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.gz.\n\n -- %s  %s\n' \
    "$version" "$maintainer" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")" >"$doc/changelog"
gzip -9n "$doc/changelog" "$doc/CHANGELOG.md" "$share"/man/man?/*
put "$sources/etc/debian/lintian-overrides" usr/share/lintian/overrides was-daemon

# -- what dpkg reads --

for script in postinst prerm postrm; do
    put "$sources/etc/debian/$script" DEBIAN
    chmod 755 "$root/DEBIAN/$script"
done
put "$sources/etc/debian/triggers" DEBIAN
echo /etc/was-daemon/was.toml >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<END
Package: was-daemon
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(find "$root" -type f -printf '%i %s\n' | sort -u | awk '{ kib += int(($2 + 1023) / 1024) } END { print kib }')
Depends: python3 (>= ${pythons%% *}), python3 (<< $after~), adduser, procps, libc6 (>= $glibc), libgcc-s1, libstdc++6, zlib1g
Suggests: nginx
Section: web
Priority: optional
Description: asset server for Specify, with storage as plugins
 Specify 6, Specify 7 and the Web Portal, the collections management system of
 natural-history museums, upload, show and delete photographs, scans and
 documents through this server. It takes the place of the Web Asset Server, in
 the same directory of attachments, and keeps files on disks, on NAS, SFTP,
 WebDAV and S3 servers, or in a digital asset management system.
 .
 The package contains the Python packages that it needs, and libvips and PDFium
 for thumbnails, for the Pythons of Debian 12 and 13 and Ubuntu 24.04.
END
(cd "$root" && find etc usr -type f ! -path etc/was-daemon/was.toml -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$build/md5sums"
mv "$build/md5sums" "$root/DEBIAN"
chmod -R u=rwX,go=rX "$root"
# Wheels mark libraries as programs.
find "$program/lib" -name "*.so*" -exec chmod a-x {} +
find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$output"
dpkg-deb --root-owner-group -Zxz -z"${XZ_LEVEL:-6}" --build "$root" "$output"
