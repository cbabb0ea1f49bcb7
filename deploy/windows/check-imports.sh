#!/usr/bin/env bash
# Checks that a program for Windows imports nothing but what imports-6.3.txt lists: a single function that Server 2012 R2
# lacks keeps the whole program from starting there.
#   deploy/windows/check-imports.sh tidemark-agent.exe
set -euo pipefail
[ $# = 1 ] || { echo "usage: $0 FILE.exe" >&2; exit 2; }
allowed="$(dirname "$0")/imports-6.3.txt"
command -v x86_64-w64-mingw32-objdump >/dev/null 2>&1 \
  || { echo "error: objdump is missing: apt-get install binutils-mingw-w64-x86-64" >&2; exit 1; }

# Lines of the import tables: `DLL Name: NAME`, then an address, a hint and the name of each function, then an empty line.
imports=$(x86_64-w64-mingw32-objdump -p "$1" | awk '
  /DLL Name:/ { dll = tolower($3); next }
  dll && /^\t[0-9a-f]+\t/ { print dll "!" $NF }
  /^$/ { dll = "" }' | LC_ALL=C sort -u)
[ -n "$imports" ] || { echo "error: $1 imports nothing: it is no program for Windows" >&2; exit 1; }

wrong=$(grep -vxFf <(grep -v '^#' "$allowed") <<<"$imports" || true)
[ -n "$wrong" ] || { echo "imports: $(wc -l <<<"$imports"), all in Windows 6.3"; exit 0; }
{
  echo "error: $1 imports what $allowed does not list:"
  sed 's/^/  /' <<<"$wrong"
  echo "If Windows Server 2012 R2 has a function (\"Minimum supported server\" of its page at learn.microsoft.com), add it"
  echo "to the list. If not, resolve it at run time with GetProcAddress, or keep away from the crate that imports it."
} >&2
exit 1
