#!/usr/bin/env bash
# Builds the packages of the last commit twice as they are shipped, as two machines would that have little in common: one
# after the other, in other folders, with crates elsewhere, another time zone, language, umask and number of jobs. Says
# whether both are the same, byte by byte, and otherwise which files are not and how to look at them.
#   deploy/reproduce.sh [--only PACKAGE] [--windows]
# --only takes one of deb.sh's packages and leaves the tarballs out; --windows adds the agent's MSI.
set -euo pipefail
workspace=$(cd "$(dirname "$0")/.." && pwd)
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

only=() windows=''
while [ $# -gt 0 ]; do
  case "$1" in
    --only) [ $# -ge 2 ] || fail "--only needs a package"; only=(--only "$2"); shift ;;
    --windows) windows=yes ;;
    *) fail "unknown argument $1: known are --only PACKAGE, --windows" ;;
  esac
  shift
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# build NAME: puts packages into $folder/NAME/packages, of sources beside them.
build() {
  local own=$folder/$1
  git clone -q "$workspace" "$own/sources"
  cd "$own/sources"
  deploy/linux/deb.sh "${only[@]}" --output "$own/packages"
  [ ${#only[@]} -gt 0 ] || deploy/linux/tar.sh --output "$own/packages"
  [ -z "$windows" ] || deploy/windows/msi.sh --output "$own/packages/tidemark-agent.msi"
} >&2

(umask 022 && TZ=UTC LC_ALL=C CARGO_BUILD_JOBS=$(nproc) build one)
crates=$(realpath -ms "${CARGO_HOME:-$HOME/.cargo}")
mkdir -p "$folder/crates"
for part in registry git; do [ ! -d "$crates/$part" ] || ln -s "$crates/$part" "$folder/crates/"; done
(umask 077 && TZ=Asia/Kathmandu LC_ALL=C.UTF-8 CARGO_BUILD_JOBS=1 CARGO_HOME=$folder/crates build a-longer-name)

one=$folder/one/packages other=$folder/a-longer-name/packages
if ! differs=$(diff -rq "$one" "$other"); then
  trap - EXIT
  printf 'error: %s\n' "$differs" >&2
  # A package says little; what is in it more.
  for deb in "$one"/*.deb; do
    for side in one a-longer-name; do dpkg-deb -R "$folder/$side/packages/${deb##*/}" "$folder/$side/${deb##*/}.unpacked"; done
    diff -rq "$folder"/{one,a-longer-name}/"${deb##*/}.unpacked" >&2 || true
  done
  fail "both are kept: look with \"diffoscope $one $other\", at a program with \"diff <(strings FILE) <(strings OTHER)\""
fi
(cd "$one" && sha256sum ./*)
