# What deb.sh and tar.sh share: their arguments, and the programs that they pack. Sourced, with $here set.
workspace=$(cd "$here/../.." && pwd)
. "$workspace/deploy/shipped.sh"
# Folders have the same rights whoever packs.
umask 022
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# read_arguments DEFAULT_OUTPUT PACKAGES MORE "$@": sets programs, version, output, compression, which MORE explains, and
# only, which of the packages are wanted.
read_arguments() {
  local default=$1 packages=$2 more=$3
  shift 3
  local known="known are --programs FOLDER, --version A.B.C, --output FOLDER, --only ${packages// /|}$more"
  programs='' version='' output='' compression='' only=
  while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || fail "$1 needs a value; $known"
    case "$1" in
      --programs) programs=$2 ;;
      --version) version=$2 ;;
      --output) output=$2 ;;
      --compression) compression=$2 ;;
      --only)
        case " $packages " in *" $2 "*) only+=" $2" ;; *) fail "there is no package $2; $known" ;; esac
        ;;
      *) fail "unknown argument $1: $known" ;;
    esac
    shift 2
  done
  only=${only:-$packages}
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

# In a folder of their own: everything is built anew where the names of sources change.
cargo_builds() {
  local profile=$1
  shift
  (
    use_shipped_names
    cd "$workspace"
    cargo build --locked --target-dir target/shipped --profile "$profile" "$@"
  ) >&2
}

# find_programs PROGRAM...: builds them as they are shipped, where no folder of built ones was given.
find_programs() {
  local program built
  if [ -z "$programs" ]; then
    programs=$folder/programs
    mkdir "$programs"
    # The agent runs on every server and is built for size; the others for speed, and together: they share features.
    case " $* " in *" tidemark-agent "*) cargo_builds agent -p tidemark-agent --bin tidemark-agent ;; esac
    case " $* " in
      *" tidemark "* | *" tidemark-controller "*)
        cargo_builds release -p tidemark-controller --bin tidemark-controller -p tidemark-cli --bin tidemark
        ;;
    esac
    for program in "$@"; do
      [ "$program" = tidemark-agent ] && built=agent || built=release
      install -s -m 755 "$workspace/target/shipped/$built/$program" "$programs/$program"
      carries_no_path "$programs/$program" || fail "what is shipped tells where it was built"
    done
  fi
  programs=$(realpath "$programs")
  for program in "$@"; do
    [ -x "$programs/$program" ] || fail "$programs/$program is no program: build it first, or leave --programs out"
  done
}

# Put files and programs into $root.
put() { install -D -m "$1" "$2" "$root$3"; }
# With its bill of materials in folder $3.
put_program() {
  put 755 "$programs/$1" "$2/$1" && strip --strip-unneeded "$root$2/$1"
  "$workspace/deploy/sbom.py" "$1" --target "$(rustc -vV | sed -n 's/^host: //p')" --version "$version" --file "$root$2/$1" \
    >"$folder/sbom" || fail "there is no bill of materials for $1"
  put 644 "$folder/sbom" "$3/$1.cdx.json"
}
put_completion() {
  "$programs/$1" completion "$2" >"$folder/completion"
  put 644 "$folder/completion" "$3"
}
