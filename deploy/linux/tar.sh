#!/usr/bin/env bash
# Builds tarballs of this machine's architecture for any Linux with systemd and glibc 2.36 or later, and prints where they are:
# tidemark-agent with its installer, and tidemark with controller and command line. SHA256SUMS beside them is of what was packed.
#   deploy/linux/tar.sh [--programs FOLDER] [--version A.B.C] [--output FOLDER] [--only TARBALL]... [--compression best|fast]
# Without --programs they are built as they are shipped; the version is the workspace's unless another one is given; --only
# packs that one; fast is for tests, which pack more often than they unpack.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/packing.sh"
read_arguments tar 'tidemark-agent tidemark' ', --compression best|fast' "$@"
case "${compression:-best}" in
  best) level=9 ;;
  fast) level=1 ;;
  *) fail "unknown compression $compression: write best or fast" ;;
esac
have strip && have python3 || need_tools binutils python3
# The controller comes with the command line.
case " $only " in *" tidemark "*) find_programs $only tidemark-controller ;; *) find_programs $only ;; esac
machine=$(uname -m)

licences() {
  put 644 "$workspace/LICENSE-MIT" /LICENSE-MIT
  put 644 "$workspace/LICENSE-APACHE" /LICENSE-APACHE
}

# Packs the folder $root: names in order, one owner, one time, and no name or time in gzip's own header.
pack() {
  local name
  name=$(basename "$root")
  find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  tar --create --directory "$folder" --sort=name --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w \
    --mtime="@$SOURCE_DATE_EPOCH" --format=gnu "$name" | gzip -n -$level >"$output/$name.tar.gz"
  echo "$output/$name.tar.gz"
}

put_own_of_tidemark_agent() {
  put_program tidemark-agent '' ''
  put 755 "$here/install.sh" /install.sh
  echo "$version" >"$root/VERSION"
  put 644 "$here/tidemark-agent.service" /tidemark-agent.service
  put 644 "$here/agent.toml" /agent.toml
  put 644 "$here/actions.conf" /actions.conf
  put_completion tidemark-agent bash /completions/tidemark-agent
}

put_own_of_tidemark() {
  put_program tidemark-controller '' ''
  put_program tidemark '' ''
  put 644 "$here/tidemark-controller.service" /tidemark-controller.service
  put 644 "$here/sysusers.conf" /sysusers.conf
  put 644 "$here/controller.toml" /controller.toml
  put_completion tidemark-controller bash /completions/tidemark-controller
  put_completion tidemark bash /completions/tidemark
  put_completion tidemark zsh /completions/_tidemark
  put_completion tidemark fish /completions/tidemark.fish
}

packed=()
for name in $only; do
  packed+=("$name-$version-linux-$machine.tar.gz")
  root=$folder/$name-$version-linux-$machine
  "put_own_of_${name//-/_}"
  licences
  pack
done
(cd "$output" && sha256sum "${packed[@]}" >SHA256SUMS)
echo "$output/SHA256SUMS"
