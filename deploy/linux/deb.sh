#!/usr/bin/env bash
# Builds the Debian packages of this machine's architecture, for Debian 12 and Ubuntu 24.04 and later, and prints where they are:
# tidemark-agent, tidemark-controller, and tidemark with the command line.
#   deploy/linux/deb.sh [--programs FOLDER] [--version A.B.C] [--output FOLDER] [--compression xz|gzip]
# Without --programs they are built as they are shipped; the version is the workspace's unless another one is given; gzip
# is for tests, which pack more often than they unpack.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
workspace=$(cd "$here/../.." && pwd)
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

known='known are --programs FOLDER, --version A.B.C, --output FOLDER, --compression xz|gzip'
programs='' version='' output='' compression=xz
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || fail "$1 needs a value; $known"
  case "$1" in
    --programs) programs=$2 ;;
    --version) version=$2 ;;
    --output) output=$2 ;;
    --compression) compression=$2 ;;
    *) fail "unknown argument $1: $known" ;;
  esac
  shift 2
done

case "$compression" in
  xz) level=6 ;;
  gzip) level=1 ;;
  *) fail "unknown compression $compression: write xz or gzip" ;;
esac
have dpkg-deb || fail "dpkg-deb is missing: packages for Debian are made on Debian or Ubuntu"
if ! have dpkg-shlibdeps || ! have strip; then
  [ "$(id -u)" = 0 ] && have apt-get || fail "tools are missing: apt-get install dpkg-dev binutils"
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends dpkg-dev binutils; } >/dev/null \
    || fail "cannot install dpkg-dev and binutils"
fi
version=${version:-$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$workspace/Cargo.toml")}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+([~+][A-Za-z0-9.+~]+)?$ ]] \
  || fail "the version is \"$version\": write three numbers, as in 1.2.3, and ~rc1 or +1 behind them where needed"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if [ -z "$programs" ]; then
  # The agent runs on every server and is built for size; the others for speed.
  (cd "$workspace" && cargo build --locked --profile agent -p tidemark-agent --bin tidemark-agent \
    && cargo build --locked --release -p tidemark-controller --bin tidemark-controller -p tidemark-cli --bin tidemark) >&2
  programs=$folder/programs
  mkdir "$programs"
  ln -s "$workspace/target/agent/tidemark-agent" "$workspace"/target/release/tidemark{,-controller} "$programs"
fi
programs=$(realpath "$programs")
output=$(realpath -m "${output:-$workspace/target/deb}")
mkdir -p "$output"
architecture=$(dpkg --print-architecture)
# The same sources make the same package: every file has the time of the last commit.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$workspace" log -1 --format=%ct 2>/dev/null || date +%s)}

# What a program needs of the system, by dpkg's own reckoning.
libraries_of() {
  mkdir -p "$folder/look/debian" && printf 'Source: tidemark\n\nPackage: tidemark\nArchitecture: any\n' >"$folder/look/debian/control"
  (cd "$folder/look" && dpkg-shlibdeps -O --ignore-missing-info "$1" 2>/dev/null) | sed -n 's/^shlibs:Depends=//p'
}

put() { install -D -m "$1" "$2" "$root$3"; }
put_program() { put 755 "$programs/$1" "/usr/bin/$1" && strip --strip-unneeded "$root/usr/bin/$1"; }

complete_in_bash() {
  "$programs/$1" completion bash >"$folder/completion.bash"
  put 644 "$folder/completion.bash" "/usr/share/bash-completion/completions/$1"
}

# Puts into $root what every package has, and packs it.
pack() {
  local name=$1 program=$2 depends
  depends=$(libraries_of "$root/usr/bin/$program")
  [ -n "$depends" ] || fail "what $program needs of the system is not known"
  put 644 "$here/debian/copyright" "/usr/share/doc/$name/copyright"
  mkdir -p "$root/DEBIAN"
  local size
  size=$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
  sed -e "s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/; s/@LIBRARIES@/$depends/; s/@SIZE@/$size/" \
    "$here/debian/$name/control" >"$root/DEBIAN/control"
  if [ -f "$here/debian/$name/service" ]; then
    for script in postinst prerm postrm; do
      { printf '#!/bin/sh\nset -e\n'; cat "$here/debian/$name/service" "$here/debian/service/$script"; } >"$root/DEBIAN/$script"
      chmod 755 "$root/DEBIAN/$script"
    done
  fi
  if [ -f "$here/debian/$name/conffiles" ]; then install -m 644 "$here/debian/$name/conffiles" "$root/DEBIAN/conffiles"; fi
  find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  local deb=$output/${name}_${version}_$architecture.deb
  dpkg-deb --root-owner-group "-Z$compression" "-z$level" --build "$root" "$deb" >&2
  echo "$deb"
}

for program in tidemark-agent tidemark-controller tidemark; do
  [ -x "$programs/$program" ] || fail "$programs/$program is no program: build it first, or leave --programs out"
done

root=$folder/agent
put_program tidemark-agent
put 644 "$here/tidemark-agent.service" /usr/lib/systemd/system/tidemark-agent.service
put 644 "$here/agent.toml" /usr/share/doc/tidemark-agent/examples/agent.toml
put 644 "$here/actions.conf" /usr/share/doc/tidemark-agent/examples/actions.conf
put 644 "$here/upgrades.conf" /usr/share/doc/tidemark-agent/examples/upgrades.conf
complete_in_bash tidemark-agent
install -d -m 755 "$root/etc/tidemark"
pack tidemark-agent tidemark-agent

root=$folder/controller
put_program tidemark-controller
put 644 "$here/tidemark-controller.service" /usr/lib/systemd/system/tidemark-controller.service
put 644 "$here/sysusers.conf" /usr/lib/sysusers.d/tidemark-controller.conf
put 644 "$here/controller.toml" /etc/tidemark/controller.toml
complete_in_bash tidemark-controller
pack tidemark-controller tidemark-controller

root=$folder/cli
put_program tidemark
for shell in zsh fish; do "$programs/tidemark" completion "$shell" >"$folder/completion.$shell"; done
complete_in_bash tidemark
put 644 "$folder/completion.zsh" /usr/share/zsh/vendor-completions/_tidemark
put 644 "$folder/completion.fish" /usr/share/fish/vendor_completions.d/tidemark.fish
pack tidemark tidemark
