#!/bin/sh
# Builds a stand-in for python:3.11-slim from Debian's packages, for machines without access to a container registry.
# Needs root, debootstrap, a running Docker engine, and working apt and pip: the image trusts the same certificates
# and uses the same package index as this machine. Does nothing if the image exists.
#   docker/python-from-debian.sh [IMAGE]
set -eu
image=${1:-python:3.11-slim}
if docker image inspect "$image" >/dev/null 2>&1; then
    exit 0
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# shellcheck disable=SC2016  # apt-get expands it
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 'Component: main' | head -n 1)
debootstrap --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv bookworm "$root" ${mirror:+"$mirror"}

ln -s python3 "$root/usr/bin/python"
rm -f "$root/usr/lib/python3.11/EXTERNALLY-MANAGED" # allows pip to install
rm -rf "$root/var/cache/apt" "$root/var/lib/apt/lists" "$root/var/log" "$root/usr/share/doc" "$root/usr/share/locale"
mkdir -p "$root/var/log"

certificates=/etc/ssl/certs/ca-certificates.crt
cat "${SSL_CERT_FILE:-$certificates}" >"$root$certificates"
# pip reads the first name of each pair, uv the second.
set -- --change "ENV PIP_CERT=$certificates SSL_CERT_FILE=$certificates"
index=${PIP_INDEX_URL:-$(python3 -m pip config get global.index-url 2>/dev/null || true)}
if [ -n "$index" ]; then
    set -- "$@" --change "ENV PIP_INDEX_URL=$index UV_DEFAULT_INDEX=$index"
fi
tar --numeric-owner -C "$root" -c . | docker import "$@" --change 'CMD ["python3"]' - "$image" >/dev/null
