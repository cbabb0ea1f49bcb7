# How shipped programs are compiled, for whatever system. Sourced, with $workspace set.

cargo_home() { realpath -ms "${CARGO_HOME:-$HOME/.cargo}"; }

# A program names its sources, in the places of its panics. They get names that are the same on every machine, so that it
# neither tells where it was built nor differs by it. Arguments choose a toolchain, as in +nightly.
use_shipped_names() {
  local sysroot commit from flags='' names=()
  sysroot=$(rustc "$@" --print sysroot)
  commit=$(rustc "$@" -vV | sed -n 's/^commit-hash: //p')
  # The standard library's sources, where they are installed, are named as they are where they are not.
  for from in "$(cargo_home)=/cargo" "$workspace=/tidemark" "$sysroot/lib/rustlib/src/rust=/rustc/$commit"; do
    flags+=${flags:+$'\x1f'}--remap-path-prefix=$from
    names+=("-ffile-prefix-map=$from")
  done
  unset RUSTFLAGS
  export CARGO_ENCODED_RUSTFLAGS=$flags
  # Those in C: SQLite, zstd, ring.
  export CFLAGS="${names[*]}"
}

# carries_no_path FILE...: fails when a program holds a path of this machine to the sources of Tidemark, a crate or Rust.
carries_no_path() {
  local program path wrong=0 paths=("$(cargo_home)/registry/" "$(rustc --print sysroot)/lib/")
  for path in agent cli controller proto target; do paths+=("$workspace/$path/"); done
  for program in "$@"; do
    for path in "${paths[@]}"; do
      grep -aqF -e "$path" "$program" || continue
      printf 'error: %s holds a path of this machine; look at: strings %s | grep %s\n' "$program" "$program" "$path" >&2
      wrong=1
    done
  done
  return $wrong
}
