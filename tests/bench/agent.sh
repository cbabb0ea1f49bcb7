# Part "agent": what a collection costs beside N sockets in one network namespace. Sourced by run.

agent_part() {
  say "agent: build"
  cargo build --release --locked -p tidemark-agent --example collect_cost
  local scene sockets row
  for scene in idle 2k 20k; do
    say "agent: $scene"
    sockets=0
    [ "$scene" = idle ] || sockets=${scene%k}000
    target/release/examples/collect_cost beside "$scene" "$PWD/tests/bench/on_host.sh" "$scene" "$sockets" >"$BENCH_WORK/ours"
    row=$(grep '^{' "$BENCH_WORK/ours") || fail "collect_cost gave no figures"
    of_row() { jq ".$1" <<<"$row"; }
    figure agent "$scene" "tidemark (with owners)" cpu_ms "$(of_row sample_cpu_mean_ms)" \
      "a sample: TCP, UDP, bound, owners, destinations; mean of 15, CPU of its process"
    figure agent "$scene" "tidemark (with owners)" resident_mb "$(of_row 'resident_bytes / 1e6')" \
      "the collector after its rounds, without TLS and the session"
    figure agent "$scene" "bare sock_diag dump" cpu_ms "$(of_row dump_cpu_mean_ms)" "TCP over IPv4 and IPv6, nothing made of it; mean of 15"
    figure agent "$scene" "bare sock_diag dump" resident_mb null "it is measured inside of tidemark's process"
  done
}
