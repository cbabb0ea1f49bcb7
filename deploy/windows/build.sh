#!/usr/bin/env bash
# Builds tidemark-agent.exe for Windows Server 2012 R2 and later on Linux, checks what it imports, and prints where it is.
#   deploy/windows/build.sh             quick to build, slow to run: for tests
#   deploy/windows/build.sh --release   what is shipped: small, stripped
#   deploy/windows/build.sh --check     only compiles
#   deploy/windows/build.sh --lint      clippy, of what is compiled for Windows alone too
#
# The target x86_64-win7-windows-gnu keeps to what Windows had before 10, but comes without a standard library: Cargo
# builds that from the toolchain's rust-src, which takes RUSTC_BOOTSTRAP on a stable toolchain. The toolchain is the
# pinned one, or a nightly when only that has rust-src. Linker and tools are Debian's mingw-w64. Debian's own Rust
# (1.85, rustc-web) lacks the target and cannot compile what Cargo.lock names (sha2 0.11.1, time 0.3.55), so it is no
# way out.
set -euo pipefail
cd "$(dirname "$0")/../.."
workspace=$PWD
. deploy/shipped.sh

# A caller's toolchain and settings are not this build's: rust-toolchain.toml names the toolchain.
unset RUSTUP_TOOLCHAIN CARGO RUSTC RUSTC_WRAPPER RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
target=x86_64-win7-windows-gnu
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
usage() { fail "unknown argument $1: write --release, --check, --lint or nothing"; }

verb=build profile=dev folder=debug
case "${1-}" in
  '') ;;
  --release) profile=agent folder=agent ;;
  --check) verb=check ;;
  --lint) verb=clippy ;;
  *) usage "$1" ;;
esac

have cargo || fail "cargo is missing: install Rust from https://rustup.rs"
if ! have x86_64-w64-mingw32-gcc; then
  [ "$(id -u)" = 0 ] && have apt-get || fail "the linker is missing: apt-get install gcc-mingw-w64-x86-64"
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc-mingw-w64-x86-64; } >/dev/null \
    || fail "cannot install gcc-mingw-w64-x86-64"
fi

# Whether the toolchain that `rustc "$@"` names can build the target's standard library.
can_build_std() {
  local sysroot
  sysroot=$(rustc "$@" --print sysroot 2>/dev/null) || return 1
  [ -f "$sysroot/lib/rustlib/src/rust/library/std/Cargo.toml" ] && rustc "$@" --print target-list | grep -qx "$target"
}

toolchain=()
if ! can_build_std; then
  if have rustup && rustup component add rust-src >&2 && can_build_std; then
    :
  elif have rustup && can_build_std +nightly; then
    toolchain=(+nightly)
  else
    fail "no toolchain can build the standard library for $target: run 'rustup component add rust-src' here"
  fi
fi

export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$PWD/target/windows"
export CARGO_TARGET_X86_64_WIN7_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc
use_shipped_names "${toolchain[@]}"
# The time of the build is no part of the program.
CARGO_ENCODED_RUSTFLAGS+=$'\x1f-Clink-arg=-Wl,--no-insert-timestamp'
common=(--locked --profile "$profile" -Zbuild-std=std,panic_abort --target "$target")
if [ "$verb" = clippy ]; then
  cargo "${toolchain[@]}" clippy "${common[@]}" -p tidemark-platform -p tidemark-agent --lib --bins -- -D warnings >&2
  exit 0
fi
cargo "${toolchain[@]}" "$verb" "${common[@]}" -p tidemark-agent --bin tidemark-agent >&2
[ "$verb" = build ] || exit 0

exe="$CARGO_TARGET_DIR/$target/$folder/tidemark-agent.exe"
deploy/windows/check-imports.sh "$exe" >&2
[ "$profile" = dev ] || carries_no_path "$exe" || fail "what is shipped tells where it was built"
echo "$exe"
