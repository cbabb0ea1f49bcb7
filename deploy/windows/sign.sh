#!/usr/bin/env bash
# Signs the agent and its MSI for Windows (Authenticode, SHA-256) and verifies what it signed.
#   deploy/windows/sign.sh --cert CHAIN.pem --key KEY.pem FILE...            a key in a file
#   deploy/windows/sign.sh --cert CHAIN.pem --pkcs11-module MODULE.so --key 'pkcs11:...' FILE...
#   deploy/windows/sign.sh --pkcs12 FILE.p12 FILE...
# Further: --password-file FILE   what unlocks the key or the token
#          --timestamp URL        an RFC 3161 server; without one the signature ends with the certificate
#          --trust ROOTS.pem      roots that the result is verified against (default: those of the certificate's file)
# Sign the executable first, then build the MSI from it, then sign that. Each file is replaced only when its signature
# holds.
set -euo pipefail
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

cert='' key='' pkcs12='' module='' password_file='' timestamp='' trust='' files=()
while [ $# -gt 0 ]; do
  case "$1" in
    --cert|--key|--pkcs12|--pkcs11-module|--password-file|--timestamp|--trust)
      [ $# -ge 2 ] || fail "$1 needs a value"
      case "$1" in
        --cert) cert=$2 ;;
        --key) key=$2 ;;
        --pkcs12) pkcs12=$2 ;;
        --pkcs11-module) module=$2 ;;
        --password-file) password_file=$2 ;;
        --timestamp) timestamp=$2 ;;
        --trust) trust=$2 ;;
      esac
      shift 2 ;;
    -*) fail "unknown argument $1; the head of $0 lists what is known" ;;
    *) files+=("$1"); shift ;;
  esac
done
[ ${#files[@]} -gt 0 ] || fail "name the files to sign: an .exe, an .msi"
for file in "${files[@]}" ${cert:+"$cert"} ${pkcs12:+"$pkcs12"} ${password_file:+"$password_file"} ${trust:+"$trust"}; do
  [ -f "$file" ] || fail "$file is no file"
done

how=()
if [ -n "$pkcs12" ]; then
  [ -z "$cert$key$module" ] || fail "--pkcs12 holds key and certificate: leave out --cert, --key and --pkcs11-module"
  [ -n "$trust" ] || fail "--pkcs12 needs --trust ROOTS.pem, to verify against"
  how+=(-pkcs12 "$pkcs12")
else
  [ -n "$cert" ] && [ -n "$key" ] || fail "give --cert CHAIN.pem and --key, or --pkcs12 FILE.p12: there is no unsigned result"
  how+=(-certs "$cert" -key "$key")
  if [ -n "$module" ]; then how+=(-pkcs11module "$module"); else [ -f "$key" ] || fail "$key is no file"; fi
fi
[ -z "$password_file" ] || how+=(-readpass "$password_file")
[ -z "$timestamp" ] || how+=(-ts "$timestamp")

if ! command -v osslsigncode >/dev/null 2>&1; then
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || fail "the tool is missing: apt-get install osslsigncode"
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends osslsigncode; } >/dev/null \
    || fail "cannot install osslsigncode"
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for file in "${files[@]}"; do
  signed="$folder/$(basename "$file")"
  # An MSI's names and properties are signed as well as its contents.
  whole=()
  [[ ${file,,} != *.msi ]] || whole=(-add-msi-dse)
  osslsigncode sign "${how[@]}" "${whole[@]}" -h sha256 -n "Tidemark agent" -in "$file" -out "$signed" >"$folder/log" 2>&1 \
    || { cat "$folder/log" >&2; fail "$file is not signed"; }
  osslsigncode verify -CAfile "${trust:-$cert}" ${timestamp:+-TSA-CAfile /etc/ssl/certs/ca-certificates.crt} -in "$signed" \
    >"$folder/log" 2>&1 || { cat "$folder/log" >&2; fail "the signature of $file does not hold; the file is left as it was"; }
  # Beside the target first, so that it is replaced at once or not at all.
  cp "$signed" "$file.signing"
  chmod --reference="$file" "$file.signing"
  mv "$file.signing" "$file"
  echo "signed: $file"
done
