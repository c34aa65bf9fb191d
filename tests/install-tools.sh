#!/bin/sh
# Installs the servers that some tests talk to. Without root it changes nothing, and those tests are skipped.
set -eu

missing=""
for pair in sshd:openssh-server sftp:openssh-client apache2:apache2 nginx:nginx-extras; do
    PATH="$PATH:/usr/sbin:/usr/lib/openssh" command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed, the tests that need them are skipped:$missing"
    exit 0
fi
apt-get update -qq
# Not started as services: each test starts its own.
DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $missing >/dev/null
