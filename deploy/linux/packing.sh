# What deb.sh and tar.sh share: their arguments, and the programs that they pack. Sourced, with $here set.
workspace=$(cd "$here/../.." && pwd)
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# read_arguments DEFAULT_OUTPUT MORE "$@": sets programs, version, output and compression, which MORE explains.
read_arguments() {
  local default=$1 more=$2
  shift 2
  local known="known are --programs FOLDER, --version A.B.C, --output FOLDER$more"
  programs='' version='' output='' compression=
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
  version=${version:-$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$workspace/Cargo.toml")}
  [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+([~+][A-Za-z0-9.+~]+)?$ ]] \
    || fail "the version is \"$version\": write three numbers, as in 1.2.3, and ~rc1 or +1 behind them where needed"
  output=$(realpath -m "${output:-$workspace/target/$default}")
  mkdir -p "$output"
  # The same sources make the same package: every file has the time of the last commit.
  export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$workspace" log -1 --format=%ct 2>/dev/null || date +%s)}
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
}

# need_tools PACKAGE...: what strips programs, and whatever else the packages bring.
need_tools() {
  [ "$(id -u)" = 0 ] && have apt-get || fail "tools are missing: apt-get install $*"
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null || fail "cannot install $*"
}

# Builds the programs as they are shipped, where no folder of built ones was given.
find_programs() {
  if [ -z "$programs" ]; then
    # The agent runs on every server and is built for size; the others for speed.
    (cd "$workspace" && cargo build --locked --profile agent -p tidemark-agent --bin tidemark-agent \
      && cargo build --locked --release -p tidemark-controller --bin tidemark-controller -p tidemark-cli --bin tidemark) >&2
    programs=$folder/programs
    mkdir "$programs"
    ln -s "$workspace/target/agent/tidemark-agent" "$workspace"/target/release/tidemark{,-controller} "$programs"
  fi
  programs=$(realpath "$programs")
  local program
  for program in tidemark-agent tidemark-controller tidemark; do
    [ -x "$programs/$program" ] || fail "$programs/$program is no program: build it first, or leave --programs out"
  done
}

# Put files and programs into $root.
put() { install -D -m "$1" "$2" "$root$3"; }
put_program() { put 755 "$programs/$1" "$2/$1" && strip --strip-unneeded "$root$2/$1"; }
put_completion() {
  "$programs/$1" completion "$2" >"$folder/completion"
  put 644 "$folder/completion" "$3"
}
