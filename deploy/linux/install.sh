#!/bin/sh
# Installs the agent from this folder on a host that systemd runs, upgrades it, or removes it. Root runs it.
#   ./install.sh [--controller HOST:PORT --token-file FILE|-]      install, or upgrade without arguments
#   ./install.sh --uninstall [--purge]                             remove; --purge takes configuration, identity and spool too
# "-" reads the join token from standard input. A configuration that is there is never written over.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

program=/usr/local/bin/tidemark-agent
unit=/etc/systemd/system/tidemark-agent.service
completion=/usr/local/share/bash-completion/completions/tidemark-agent
# Which tarball it came from, for those who install many.
version=/usr/local/share/tidemark-agent/version
sbom=/usr/local/share/tidemark-agent/tidemark-agent.cdx.json
config=/etc/tidemark/agent.toml
token=/etc/tidemark/join-token

controller='' token_file='' deed=install purge=
while [ $# -gt 0 ]; do
  case "$1" in
    --controller | --token-file)
      [ $# -ge 2 ] || fail "$1 needs a value"
      if [ "$1" = --controller ]; then controller=$2; else token_file=$2; fi
      shift
      ;;
    --uninstall) deed=uninstall ;;
    --purge) purge=yes ;;
    *) fail "unknown argument $1: known are --controller HOST:PORT, --token-file FILE, --uninstall, --purge" ;;
  esac
  shift
done
[ "$(id -u)" = 0 ] || fail "run it as root: sudo $0"
[ -d /run/systemd/system ] || fail "this host is not run by systemd; start it yourself: tidemark-agent run --help"
if [ -e /usr/bin/tidemark-agent ]; then
  fail "the agent is installed from a package here; keep to that: apt install ./tidemark-agent_*.deb, apt remove tidemark-agent"
fi

uninstall() {
  systemctl disable --now tidemark-agent.service >/dev/null 2>&1 || true
  rm -f "$program" "$unit" "$completion" "$version" "$sbom"
  rmdir "$(dirname "$version")" 2>/dev/null || true
  systemctl daemon-reload
  if [ -z "$purge" ]; then
    echo "removed; /etc/tidemark and /var/lib/tidemark stay, and a later installation is the same host"
    return
  fi
  # The host's identity as well: it needs a new token afterwards. Hooks stay.
  rm -rf /var/lib/tidemark
  rm -f "$config" "$token" /etc/tidemark/policy.toml
  rmdir /etc/tidemark/hooks /etc/tidemark 2>/dev/null || true
  echo "removed, with configuration, identity and spool"
}

# Everything that can be wrong is found before anything is written.
check() {
  [ -z "$purge" ] || fail "--purge goes with --uninstall"
  "$here/tidemark-agent" --version >/dev/null \
    || fail "the program does not run here: it needs $(uname -m) and glibc 2.36 or later (Debian 12, Ubuntu 24.04, Fedora 37)"
  if [ -z "$controller$token_file" ]; then return; fi
  [ -n "$controller" ] && [ -n "$token_file" ] || fail "--controller and --token-file go together"
  [ ! -e "$config" ] || fail "$config is there already: leave both arguments out to keep it, or move it away"
  case "$controller" in
    *[!A-Za-z0-9.:_-]*) case "$controller" in \[*\]:*) ;; *) fail "--controller is no HOST:PORT" ;; esac ;;
    *:*) ;;
    *) fail "--controller is no HOST:PORT" ;;
  esac
  case "$controller" in *[!]A-Za-z0-9.:_[-]*) fail "--controller is no HOST:PORT" ;; esac
  if [ "$token_file" = - ]; then secret=$(cat); else secret=$(cat "$token_file") || fail "--token-file cannot be read"; fi
  case "$secret" in tm1.*.*.*) ;; *) fail "--token-file holds no join token, tm1....; make one: tidemark token create" ;; esac
}

configure() {
  install -d -m 755 /etc/tidemark
  (umask 077
    printf '%s\n' "$secret" >"$token"
    printf 'controller = "%s"\ntoken_file = "%s"\n' "$controller" "$token" >"$config")
}

install_files() {
  # Renamed into place, since the old program may run.
  install -D -m 755 "$here/tidemark-agent" "$program.new"
  mv -f "$program.new" "$program"
  sed "s|^ExecStart=/usr/bin/|ExecStart=/usr/local/bin/|" "$here/tidemark-agent.service" >"$unit"
  chmod 644 "$unit"
  install -D -m 644 "$here/completions/tidemark-agent" "$completion"
  install -D -m 644 "$here/VERSION" "$version"
  install -D -m 644 "$here/tidemark-agent.cdx.json" "$sbom"
}

start() {
  systemctl daemon-reload
  if [ "$was" = there ]; then
    # As the administrator left it: what runs runs anew, what was stopped stays so.
    systemctl try-restart tidemark-agent.service
    echo "upgraded to $(cat "$version")"
  elif [ -e "$config" ]; then
    systemctl enable --now tidemark-agent.service 2>/dev/null
    echo "installed and started: $(cat "$version")"
  else
    systemctl enable tidemark-agent.service 2>/dev/null
    echo "installed; write $config (agent.toml here is an example), then: systemctl start tidemark-agent"
  fi
}

if [ "$deed" = uninstall ]; then
  [ -z "$controller$token_file" ] || fail "--uninstall takes --purge alone"
  uninstall
  exit
fi
check
if [ -e "$unit" ]; then was=there; else was=new; fi
if [ -n "$controller" ]; then configure; fi
install_files
start
