#!/usr/bin/env bash
# Builds the Debian packages of this machine's architecture, for Debian 12 and Ubuntu 24.04 and later, and prints where they are:
# tidemark-agent, tidemark-controller, and tidemark with the command line.
#   deploy/linux/deb.sh [--programs FOLDER] [--version A.B.C] [--output FOLDER] [--compression xz|gzip]
# Without --programs they are built as they are shipped; the version is the workspace's unless another one is given; gzip
# is for tests, which pack more often than they unpack.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/packing.sh"
read_arguments deb ', --compression xz|gzip' "$@"

case "${compression:-xz}" in
  xz) compression=xz level=6 ;;
  gzip) level=1 ;;
  *) fail "unknown compression $compression: write xz or gzip" ;;
esac
have dpkg-deb || fail "dpkg-deb is missing: packages for Debian are made on Debian or Ubuntu"
have dpkg-shlibdeps && have strip || need_tools dpkg-dev binutils
find_programs
architecture=$(dpkg --print-architecture)

# What a program needs of the system, by dpkg's own reckoning.
libraries_of() {
  mkdir -p "$folder/look/debian" && printf 'Source: tidemark\n\nPackage: tidemark\nArchitecture: any\n' >"$folder/look/debian/control"
  (cd "$folder/look" && dpkg-shlibdeps -O --ignore-missing-info "$1" 2>/dev/null) | sed -n 's/^shlibs:Depends=//p'
}

complete_in_bash() { put_completion "$1" bash "/usr/share/bash-completion/completions/$1"; }

# Manual pages, one for each command; compressed without a time, so that the same programs make the same package.
put_manual() {
  local pages=$folder/man-$1 page
  mkdir "$pages" && "$programs/$1" man "$pages" && gzip -9n "$pages"/*.1
  for page in "$pages"/*.1.gz; do put 644 "$page" "/usr/share/man/man1/${page##*/}"; done
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

root=$folder/agent
put_program tidemark-agent /usr/bin
put 644 "$here/tidemark-agent.service" /usr/lib/systemd/system/tidemark-agent.service
put 644 "$here/agent.toml" /usr/share/doc/tidemark-agent/examples/agent.toml
put 644 "$here/actions.conf" /usr/share/doc/tidemark-agent/examples/actions.conf
put 644 "$here/upgrades.conf" /usr/share/doc/tidemark-agent/examples/upgrades.conf
complete_in_bash tidemark-agent
put_manual tidemark-agent
install -d -m 755 "$root/etc/tidemark"
pack tidemark-agent tidemark-agent

root=$folder/controller
put_program tidemark-controller /usr/bin
put 644 "$here/tidemark-controller.service" /usr/lib/systemd/system/tidemark-controller.service
put 644 "$here/sysusers.conf" /usr/lib/sysusers.d/tidemark-controller.conf
put 644 "$here/controller.toml" /etc/tidemark/controller.toml
complete_in_bash tidemark-controller
put_manual tidemark-controller
pack tidemark-controller tidemark-controller

root=$folder/cli
put_program tidemark /usr/bin
complete_in_bash tidemark
put_manual tidemark
put_completion tidemark zsh /usr/share/zsh/vendor-completions/_tidemark
put_completion tidemark fish /usr/share/fish/vendor_completions.d/tidemark.fish
pack tidemark tidemark
