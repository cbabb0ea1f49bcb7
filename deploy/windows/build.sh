#!/usr/bin/env bash
# Builds tidemark-agent.exe for Windows Server 2012 R2 and later, on Linux, and prints where it is.
#   deploy/windows/build.sh             for tests: quick to build
#   deploy/windows/build.sh --check     only checks that it compiles
set -euo pipefail
cd "$(dirname "$0")/../.."

target=x86_64-win7-windows-gnu
export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=target/windows
export CARGO_TARGET_X86_64_WIN7_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc
unset RUSTC_WRAPPER
verb=build
[ "${1-}" != --check ] || verb=check
cargo "$verb" --locked -Zbuild-std=std,panic_abort --target "$target" -p tidemark-agent
[ "$verb" = check ] || echo "$CARGO_TARGET_DIR/$target/debug/tidemark-agent.exe"
