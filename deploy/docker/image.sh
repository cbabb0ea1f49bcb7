#!/usr/bin/env bash
# Builds the controller's image with podman, docker or buildah, and prints its name.
#   deploy/docker/image.sh [--programs FOLDER] [--version A.B.C] [--base IMAGE] [--builder podman|docker|buildah]
# Without --programs they are built as they are shipped; --base names another base than the Containerfile's.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

known='known are --programs FOLDER, --version A.B.C, --base IMAGE, --builder podman|docker|buildah'
base='' builder='' pack=()
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || fail "$1 needs a value; $known"
  case "$1" in
    --programs | --version) pack+=("$1" "$2") ;;
    --base) base=$2 ;;
    --builder) builder=$2 ;;
    *) fail "unknown argument $1: $known" ;;
  esac
  shift 2
done
if [ -z "$builder" ]; then
  for one in podman docker buildah; do if have "$one"; then builder=$one; break; fi; done
fi
[ -n "$builder" ] && have "$builder" || fail "there is no ${builder:-podman, docker or buildah} here: install one of them"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$here/../linux/tar.sh" "${pack[@]}" --only tidemark --compression fast --output "$folder" >&2
tarball=$(find "$folder" -name 'tidemark-[0-9]*.tar.gz')
context=$folder/context
mkdir -p "$context/data"
tar -xzf "$tarball" -C "$context" --strip-components=1
version=$(basename "$tarball" | sed 's/^tidemark-//; s/-linux-.*//')
# What a version may hold and a tag may not.
name=tidemark-controller:${version//[+~]/-}
arguments=(--file "$here/Containerfile" --build-arg "VERSION=$version" --tag "$name")
[ -z "$base" ] || arguments+=(--build-arg "BASE=$base")
# Docker's own form keeps the health check.
[ "$builder" = docker ] || arguments+=(--format docker)
[ "$builder" != buildah ] || arguments+=(--isolation chroot)
"$builder" build "${arguments[@]}" "$context" >&2
echo "$name"
