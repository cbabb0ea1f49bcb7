# Part "server": the same points into ours and into the peers, their size on disk, and three queries. Sourced by run.

QUERY_RUNS=9

server_part() {
  local scene="$BENCH_HOSTS hosts, $BENCH_HOURS h"
  say "server: build"
  cargo build --release --locked -p tidemark-controller --example ingest_cost
  cargo build --release --locked -p tidemark-history --example remote_write

  say "server: tidemark"
  target/release/examples/ingest_cost --hosts "$BENCH_HOSTS" --hours "$BENCH_HOURS" --json "$BENCH_WORK/ingest.json" >/dev/null
  stored_by_ours "$scene"

  say "server: the same points as remote write"
  local requests="$BENCH_WORK/requests" written
  written=$(target/release/examples/remote_write --folder "$requests" --hosts "$BENCH_HOSTS" --hours "$BENCH_HOURS")
  points=$(jq .points <<<"$written")
  end_s=$(jq .end_s <<<"$written")
  [ "$points" = "$(jq .points "$BENCH_WORK/ingest.json")" ] || fail "the peers would get $points points, and tidemark stored others"

  say "server: VictoriaMetrics"
  victoria "$scene" "$requests"
  say "server: Prometheus"
  prometheus_server "$scene" "$requests"
}

stored_by_ours() {
  local scene=$1 who=tidemark file="$BENCH_WORK/ingest.json"
  # Milliseconds of the queries whose names begin so, summed.
  took() { jq --arg name "$1" '[.queries[] | select(.query | startswith($name)) | .median_ms] | add' "$file"; }
  figure server "$scene" "$who" cpu_s_a_million "$(jq .cpu_s_a_million_points "$file")" \
    "batches of 10 min a host, from the wire's bytes to fsynced commits, detectors, compaction and hour tier; without TLS"
  figure server "$scene" "$who" bytes_a_point "$(jq .disk_bytes_a_point "$file")" "the whole SQLite file after compaction, hour tier included"
  figure server "$scene" "$who" peak_mb "$(jq '.peak_resident_mb * 1.048576' "$file")" "VmHWM, with what makes the samples"
  figure server "$scene" "$who" raw_day_ms "$(took 'a:')" "in process, median of 5"
  figure server "$scene" "$who" five_minutes_ms "$(took 'b:')" "in process, average and highest one after the other, medians of 5"
  figure server "$scene" "$who" fleet_ten_ms "$(took 'c: fleet'"'"'s top 10 by time to exhaustion, from')" \
    "in process from history, median of 5: least squares"
  figure server "$scene" "$who (live forecasts)" fleet_ten_ms "$(took 'c: fleet'"'"'s top 10 by time to exhaustion, live')" \
    "in process from the detectors' state, once: what the product answers with"
}

# Sends every request in the order of their names on one connection, and fails at the first that is refused.
send() {
  local requests=$1 address=$2 file first=1
  for file in "$requests"/*.rw; do
    [ -n "$first" ] || echo next
    first=
    printf 'url="%s"\ndata-binary="@%s"\nheader="Content-Type: application/x-protobuf"\nheader="Content-Encoding: snappy"\n' "$address" "$file"
    printf 'header="X-Prometheus-Remote-Write-Version: 0.1.0"\nsilent\nshow-error\nfail\noutput=/dev/null\n'
  done >"$BENCH_WORK/send.curl"
  curl --fail-early -K "$BENCH_WORK/send.curl" || fail "$address refuses a request"
}

# Median milliseconds of a query over HTTP, on one connection.
query_ms() {
  local address=$1; shift
  curl -sSf -o /dev/null -w '%{time_total}\n' "$@" "$address?run=[1-$QUERY_RUNS]" | awk '{print $1 * 1000}' | median
}

# How many series or points an answer must hold at least; one that holds less took no time for a bad reason.
expect() {
  local who=$1 least=$2 filter=$3 seen; shift 3
  seen=$(curl -sSf "$@" | jq "$filter") || fail "$who does not answer: $*"
  [ "$seen" -ge "$least" ] || fail "$who answers with $seen instead of at least $least: $*"
}

# The three queries in PromQL, which both peers speak.
queries() {
  local scene=$1 who=$2 base=$3 how="over HTTP on loopback, median of $QUERY_RUNS" avg max
  local span="${BENCH_HOURS}h" series='in_use{host="web-0000"}' start_s=$((end_s - BENCH_HOURS * 3600))
  local raw=(--data-urlencode "query=$series[$span]" -d "time=$end_s")
  local ten=(--data-urlencode "query=bottomk(10, (capacity - in_use) / (deriv(in_use[$span]) > 0))" -d "time=$end_s" -d nocache=1)
  local steps=(-d "start=$((start_s + 300))" -d "end=$end_s" -d step=300 -d nocache=1)
  local averages=(--data-urlencode "query=avg_over_time($series[5m])" "${steps[@]}")
  local highest=(--data-urlencode "query=max_over_time($series[5m])" "${steps[@]}")
  expect "$who" $((BENCH_HOURS * 120 - 1)) '.data.result[0].values | length' "${raw[@]}" "$base/query"
  expect "$who" $((BENCH_HOURS * 12)) '.data.result[0].values | length' "${averages[@]}" "$base/query_range"
  expect "$who" 1 '.data.result | length' "${ten[@]}" "$base/query"
  avg=$(query_ms "$base/query_range" "${averages[@]}") max=$(query_ms "$base/query_range" "${highest[@]}")
  figure server "$scene" "$who" raw_day_ms "$(query_ms "$base/query" "${raw[@]}")" "$how"
  figure server "$scene" "$who" five_minutes_ms "$(calc "$avg + $max")" "$how, average and highest one after the other"
  figure server "$scene" "$who" fleet_ten_ms "$(query_ms "$base/query" "${ten[@]}")" "$how: least squares by deriv()"
}

ingested() {
  local scene=$1 who=$2 how=$3
  figure server "$scene" "$who" cpu_s_a_million "$(calc "$(cpu_s "$PEER") * 1e6 / $points")" "$how; user and system time from /proc/PID/stat"
}

victoria() {
  local scene=$1 requests=$2 who=VictoriaMetrics base=http://127.0.0.1:$VICTORIA_PORT data="$BENCH_WORK/victoria" active
  victoria-metrics -storageDataPath="$data" -httpListenAddr="127.0.0.1:$VICTORIA_PORT" -retentionPeriod=100y \
    -search.maxQueryDuration=10m >"$BENCH_WORK/victoria.log" 2>&1 & PEER=$!
  wait_for "$who" "$PEER" "$base/health" "$BENCH_WORK/victoria.log"
  send "$requests" "$base/api/v1/write"
  curl -sSf "$base/internal/force_flush" && curl -sSf "$base/internal/force_merge" || fail "$who does not merge"
  for _ in $(seq 600); do
    sleep 1
    active=$(curl -sSf "$base/metrics" | awk '/^vm_active_(force_)?merges/ {n += $2} END {print n + 0}')
    [ "$active" = 0 ] && break
  done
  [ "$active" = 0 ] || fail "$who still merges after 10 minutes"
  ingested "$scene" "$who" "remote write in the same batches over HTTP on loopback, merges included; nothing fsynced before it answers"
  queries "$scene" "$who" "$base/api/v1"
  figure server "$scene" "$who" peak_mb "$(memory_mb "$PEER" VmHWM)" "VmHWM, queries included"
  finish "$PEER"; PEER=
  figure server "$scene" "$who" bytes_a_point "$(calc "$(du -sbc "$data/data" "$data/indexdb" | tail -1 | cut -f1) / $points")" \
    "data and index once merged and ended"
}

prometheus_server() {
  local scene=$1 requests=$2 who=Prometheus base=http://127.0.0.1:$PROMETHEUS_PORT data="$BENCH_WORK/prometheus" blocks before=none snapshot
  echo 'global: {scrape_interval: 1h}' >"$BENCH_WORK/prometheus.yml"
  prometheus --config.file="$BENCH_WORK/prometheus.yml" --storage.tsdb.path="$data" --web.listen-address="127.0.0.1:$PROMETHEUS_PORT" \
    --web.enable-remote-write-receiver --web.enable-admin-api --storage.tsdb.retention.time=100y >"$BENCH_WORK/prometheus.log" 2>&1 & PEER=$!
  wait_for "$who" "$PEER" "$base/-/ready" "$BENCH_WORK/prometheus.log"
  send "$requests" "$base/api/v1/write"
  # It looks once a minute for something to compact.
  for _ in $(seq 10); do
    sleep 70
    blocks=$(cd "$data" && ls -d 01*)
    [ "$blocks" != "$before" ] || break
    before=$blocks
  done
  ingested "$scene" "$who" "remote write in the same batches over HTTP on loopback, compaction included; nothing fsynced before it answers"
  queries "$scene" "$who" "$base/api/v1"
  figure server "$scene" "$who" peak_mb "$(memory_mb "$PEER" VmHWM)" "VmHWM, queries included"
  snapshot=$(curl -sSf -X POST "$base/api/v1/admin/tsdb/snapshot" | jq -r .data.name) || fail "$who makes no snapshot"
  figure server "$scene" "$who" bytes_a_point "$(calc "$(du -sb "$data/snapshots/$snapshot" | cut -f1) / $points")" \
    "a snapshot: all points in blocks, without the write-ahead log"
  finish "$PEER"; PEER=
}
