#!/usr/bin/env bash
# Builds the Debian packages of this machine's architecture, for Debian 12 and Ubuntu 24.04 and later, and prints where they are:
# tidemark-agent, tidemark-controller, and tidemark with the command line.
#   deploy/linux/deb.sh [--programs FOLDER] [--version A.B.C] [--output FOLDER] [--only PACKAGE]... [--compression xz|gzip]
# Without --programs they are built as they are shipped; the version is the workspace's unless another one is given; --only
# packs that one, and may be repeated; gzip is for tests, which pack more often than they unpack.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/packing.sh"
read_arguments deb 'tidemark-agent tidemark-controller tidemark' ', --compression xz|gzip' "$@"

case "${compression:-xz}" in
  xz) compression=xz level=6 ;;
  gzip) level=1 ;;
  *) fail "unknown compression $compression: write xz or gzip" ;;
esac
have dpkg-deb || fail "dpkg-deb is missing: packages for Debian are made on Debian or Ubuntu"
have dpkg-shlibdeps && have strip && have python3 || need_tools dpkg-dev binutils python3
# Each package has the program of its name.
find_programs $only
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

# Puts into $root what every package has, beside what is its own, and packs it.
pack() {
  local name=$1 depends
  put_program "$name" /usr/bin "/usr/share/doc/$name"
  complete_in_bash "$name"
  put_manual "$name"
  depends=$(libraries_of "$root/usr/bin/$name")
  [ -n "$depends" ] || fail "what $name needs of the system is not known"
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

put_own_of_tidemark_agent() {
  put 644 "$here/tidemark-agent.service" /usr/lib/systemd/system/tidemark-agent.service
  put 644 "$here/agent.toml" /usr/share/doc/tidemark-agent/examples/agent.toml
  put 644 "$here/actions.conf" /usr/share/doc/tidemark-agent/examples/actions.conf
  put 644 "$here/upgrades.conf" /usr/share/doc/tidemark-agent/examples/upgrades.conf
  install -d -m 755 "$root/etc/tidemark"
}

put_own_of_tidemark_controller() {
  put 644 "$here/tidemark-controller.service" /usr/lib/systemd/system/tidemark-controller.service
  put 644 "$here/sysusers.conf" /usr/lib/sysusers.d/tidemark-controller.conf
  put 644 "$here/controller.toml" /etc/tidemark/controller.toml
}

put_own_of_tidemark() {
  put_completion tidemark zsh /usr/share/zsh/vendor-completions/_tidemark
  put_completion tidemark fish /usr/share/fish/vendor_completions.d/tidemark.fish
}

for package in $only; do
  root=$folder/$package
  "put_own_of_${package//-/_}"
  pack "$package"
done
