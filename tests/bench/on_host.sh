#!/usr/bin/env bash
# What the peers cost in the network namespace that it runs in: `collect_cost beside` starts it, with the sockets held.
#   on_host.sh SCENE SOCKETS
set -euo pipefail
. "$(dirname "$0")/measures.sh"
scene=$1 sockets=$2
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || finish "$pid"; rm -rf "$work"' EXIT

# How many collections a figure is the mean of. Many when each takes little.
rounds=40
[ "$sockets" -lt 10000 ] || rounds=20

# What `before` and `after` CPU make a collection, and the memory of the process that did them.
report() {
  local who=$1 before=$2 after=$3 collections=$4 how=$5
  [ "$collections" -gt 0 ] || fail "$who collected nothing"
  figure agent "$scene" "$who" cpu_ms "$(calc "($after - $before) / $collections")" \
    "$how; mean of $collections, CPU of its threads from /proc/PID/task/*/schedstat"
  figure agent "$scene" "$who" resident_mb "$(memory_mb "$pid" VmRSS)" "VmRSS after these rounds"
}

# A collector that overlooks the sockets would be cheap.
check_count() {
  local who=$1 seen=$2
  [ "${seen%.*}" -ge $((sockets * 9 / 10)) ] || fail "$who counts $seen of $sockets sockets"
}

node_exporter() {
  local who=$1; shift
  prometheus-node-exporter --web.listen-address=127.0.0.1:9100 --collector.tcpstat "$@" >"$work/log" 2>&1 & pid=$!
  local address=http://127.0.0.1:9100/metrics before
  wait_for "$who" "$pid" "$address" "$work/log"
  check_count "$who" "$(curl -sf "$address" | awk '/^node_tcp_connection_states\{/ {n += $2} END {printf "%d\n", n}')"
  before=$(cpu_ms "$pid")
  curl -sf -o /dev/null "$address?[1-$rounds]"
  report "$who" "$before" "$(cpu_ms "$pid")" "$rounds" "scraped over HTTP on one connection${*:+, $*}"
  finish "$pid"; pid=
}

collectd_tcpconns() {
  local interval=0.5 values="$work/values" library
  library=$(dirname "$(find "$PEERS_ROOT/usr/lib" /usr/lib -path '*/collectd/tcpconns.so' 2>/dev/null | head -1)")
  cat >"$work/collectd.conf" <<CONF
Interval $interval
PIDFile "$work/collectd.pid"
BaseDir "$work"
PluginDir "$library"
TypesDB "${library%/lib/collectd}/share/collectd/types.db"
LoadPlugin tcpconns
LoadPlugin csv
<Plugin tcpconns>
  ListeningPorts false
  AllPortsSummary true
</Plugin>
<Plugin csv>
  DataDir "$values"
</Plugin>
CONF
  collectd -f -C "$work/collectd.conf" >"$work/log" 2>&1 & pid=$!
  established() { cat "$values"/*/tcpconns-all/tcp_connections-ESTABLISHED-* 2>/dev/null | grep -v epoch || true; }
  for _ in $(seq 300); do [ -n "$(established)" ] && break; sleep 0.1; done
  [ -n "$(established)" ] || { tail -5 "$work/log" >&2; fail "collectd collects nothing"; }
  [ "$sockets" -eq 0 ] || check_count collectd "$(established | tail -1 | cut -d, -f2)"
  local before lines
  lines=$(established | wc -l) before=$(cpu_ms "$pid")
  sleep 15
  report collectd "$before" "$(cpu_ms "$pid")" $(($(established | wc -l) - lines)) \
    "tcpconns with AllPortsSummary alone, every $interval s, values into CSV files, whose lines are counted"
  finish "$pid"; pid=
}

# One passive check: 'ZBXD', 1, eight bytes of length, the key; the answer has the same header.
zabbix_get_key() {
  local key=$1
  exec 3<>/dev/tcp/127.0.0.1/10050
  printf "ZBXD\\x01\\x$(printf %02x "${#key}")\\0\\0\\0\\0\\0\\0\\0%s" "$key" >&3
  tail -c +14 <&3
  exec 3>&-
}

zabbix_keys() {
  local who=$1 count=$2 before key; shift 2
  before=$(cpu_ms "$pid")
  for _ in $(seq "$count"); do for key in "$@"; do zabbix_get_key "$key" >/dev/null; done; done
  report "$who" "$before" "$(cpu_ms "$pid")" "$count" "passive checks on loopback, $# keys a collection"
}

zabbix_agent() {
  cat >"$work/zabbix.conf" <<CONF
Server=127.0.0.1
ListenIP=127.0.0.1
ListenPort=10050
Hostname=bench
LogType=console
PidFile=$work/zabbix.pid
ControlSocket=$work/zabbix.control
PluginSocket=$work/zabbix.plugin
CONF
  zabbix_agent2 -f -c "$work/zabbix.conf" >"$work/log" 2>&1 & pid=$!
  for _ in $(seq 300); do (exec 3<>/dev/tcp/127.0.0.1/10050) 2>/dev/null && break; sleep 0.1; done
  local one='net.tcp.socket.count[]' seen keys=(net.udp.socket.count) state
  seen=$(zabbix_get_key "$one") || { tail -5 "$work/log" >&2; fail "zabbix_agent2 does not answer"; }
  [[ $seen =~ ^[0-9]+$ ]] || fail "zabbix_agent2 answers '$seen'"
  check_count zabbix_agent2 "$seen"
  for state in established syn_sent syn_recv fin_wait1 fin_wait2 time_wait close close_wait last_ack listen closing; do
    keys+=("net.tcp.socket.count[,,,,$state]")
  done
  zabbix_keys "zabbix_agent2, 1 key" "$rounds" "$one"
  zabbix_keys "zabbix_agent2, 11 states + UDP" 5 "${keys[@]}"
  finish "$pid"; pid=
}

# Programs that end after each collection: CPU as their parent is told, nothing that stays resident.
once() {
  local who=$1 took; shift
  took=$( { TIMEFORMAT='%U %S'; time for _ in $(seq 9); do "$@" >/dev/null; done; } 2>&1)
  figure agent "$scene" "$who" cpu_ms "$(awk '{print ($1 + $2) * 1000 / 9}' <<<"$took")" "mean of 9 runs, user and system time"
  figure agent "$scene" "$who" resident_mb null "it ends after each collection"
}

node_exporter "node_exporter, tcpstat and its defaults"
node_exporter "node_exporter, tcpstat alone" --collector.disable-defaults --web.disable-exporter-metrics
collectd_tcpconns
zabbix_agent
once "ss -tan" ss -tan
once "ss -tanp (with owners)" ss -tanp
