#!/usr/bin/env bash
# Builds the agent's MSI for Windows (x64, Server 2012 R2 and later) on Linux and prints where it is.
#   deploy/windows/msi.sh [--exe FILE.exe] [--version A.B.C] [--output FILE.msi]
# Without --exe the agent is built as it is shipped; the version is the workspace's unless another one is given. The same
# program makes the same MSI: its files have the time of the last commit, or SOURCE_DATE_EPOCH.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
workspace=$(cd "$here/../.." && pwd)
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

exe='' version='' output=''
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || fail "$1 needs a value; known are --exe FILE.exe, --version A.B.C, --output FILE.msi"
  case "$1" in
    --exe) exe=$2 ;;
    --version) version=$2 ;;
    --output) output=$2 ;;
    *) fail "unknown argument $1: known are --exe FILE.exe, --version A.B.C, --output FILE.msi" ;;
  esac
  shift 2
done

if ! have wixl || ! have msibuild || ! have python3; then
  [ "$(id -u)" = 0 ] && have apt-get || fail "tools are missing: apt-get install wixl msitools python3"
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends wixl msitools python3; } >/dev/null \
    || fail "cannot install wixl, msitools and python3"
fi
version=${version:-$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$workspace/Cargo.toml")}
# Windows Installer compares three numbers, of which the first two are below 256.
[[ $version =~ ^[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,5}$ ]] || fail "the version is \"$version\": write three numbers, as in 1.2.3"
IFS=. read -r major minor patch <<<"$version"
(( 10#$major < 256 && 10#$minor < 256 && 10#$patch < 65535 )) || fail "the version is $version: at most 255.255.65534"
exe=$(realpath "${exe:-$("$here/build.sh" --release)}")
[ -f "$exe" ] || fail "$exe is no file"
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$workspace" log -1 --format=%ct 2>/dev/null || date +%s)}
output=$(realpath -m "${output:-$workspace/target/windows/tidemark-agent-$version-x64.msi}")

# wixl takes relative paths alone.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$exe" "$folder/tidemark-agent.exe"
cp "$here/tidemark-agent.wxs" "$folder"
"$workspace/deploy/sbom.py" tidemark-agent --target x86_64-win7-windows-gnu --version "$version" --file "$exe" \
  >"$folder/tidemark-agent.cdx.json" || fail "there is no bill of materials"
cd "$folder"
touch -d "@$SOURCE_DATE_EPOCH" ./*

# What is in the MSI names it: another content is another product for Windows, the same is the same.
content=$({ echo "$version"; cat tidemark-agent.*; } | sha256sum)
uuid_of() { sed -E 's/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/{\1-\2-4\3-8\4-\5}/; s/.*/\U&/' <<<"$1"; }
product=$(uuid_of "$content")
package=$(uuid_of "$(sha256sum <<<"$content")")
wixl -a x64 -D Version="$version" -D ProductCode="$product" -D NextVersion="$major.$minor.$((10#$patch + 1))" -o agent.msi tidemark-agent.wxs >&2

sql() { msibuild agent.msi -q "$@" >&2 || fail "the MSI's tables cannot be changed: $*"; }
# A setting is written only when it is given.
for setting in Controller Token TokenFile Profile Tags; do
  sql "UPDATE \`Component\` SET \`Condition\` = '${setting^^}' WHERE \`Component\` = 'Setting$setting'"
done
# What an administrator gives reaches the installer's service.
sql "UPDATE \`Property\` SET \`Value\` = 'CONTROLLER;PROFILE;TAGS;TOKEN;TOKENFILE;NEWERAGENT;OLDERAGENT' WHERE \`Property\` = 'SecureCustomProperties'"
# The agent registers the texts of its messages with the Application log; with the program goes what would name it: "-" is
# a key with all that is in it, removed with its component.
sql "INSERT INTO \`Registry\` (\`Registry\`, \`Root\`, \`Key\`, \`Name\`, \`Component_\`) VALUES ('LogMessages', 2, 'SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application\\Tidemark', '-', 'Program')"
# CONFIGFILE: a configuration that was written by hand.
sql "CREATE TABLE \`DrLocator\` (\`Signature_\` CHAR(72) NOT NULL, \`Parent\` CHAR(72), \`Path\` CHAR(255), \`Depth\` INT PRIMARY KEY \`Signature_\`, \`Parent\`, \`Path\`)"
have_signature=$(msiinfo tables agent.msi | grep -cx Signature || true)
[ "$have_signature" = 1 ] || sql "CREATE TABLE \`Signature\` (\`Signature\` CHAR(72) NOT NULL, \`FileName\` CHAR(255) NOT NULL, \`MinVersion\` CHAR(20), \`MaxVersion\` CHAR(20), \`MinSize\` LONG, \`MaxSize\` LONG, \`MinDate\` LONG, \`MaxDate\` LONG, \`Languages\` CHAR(255) PRIMARY KEY \`Signature\`)"
sql "INSERT INTO \`Signature\` (\`Signature\`, \`FileName\`) VALUES ('ConfigFile', 'agent.toml')"
sql "INSERT INTO \`DrLocator\` (\`Signature_\`, \`Path\`, \`Depth\`) VALUES ('ConfigFile', '[CommonAppDataFolder]Tidemark\\config', 0)"
sql "INSERT INTO \`AppSearch\` (\`Property\`, \`Signature_\`) VALUES ('CONFIGFILE', 'ConfigFile')"

"$here/settle-msi.py" agent.msi "$package" "$SOURCE_DATE_EPOCH" >&2
# As Windows reads it.
msiinfo suminfo agent.msi | grep -qF "$package" || fail "the MSI does not have its code"

mkdir -p "$(dirname "$output")"
mv agent.msi "$output"
echo "$output"
