# What every part of the benchmark measures with. Sourced.

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
fail() { printf '\n\033[1;31merror:\033[0m %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# One figure: part, scene, who, measure, value (or null), and how it was got or why there is none.
figure() {
  jq -nc --arg part "$1" --arg scene "$2" --arg who "$3" --arg measure "$4" --argjson value "$5" --arg how "$6" \
    '{part: $part, scene: $scene, who: $who, measure: $measure, value: $value, how: $how}' >>"$BENCH_FIGURES"
}

# CPU of a process's living threads, in ms with fractions: for work of milliseconds, where ticks of 10 ms are too coarse.
cpu_ms() { cat "/proc/$1/task/"*/schedstat | awk '{ns += $1} END {printf "%.3f\n", ns / 1e6}'; }

# CPU of a process with the threads that have ended, in seconds, in ticks of 10 ms.
cpu_s() { sed 's/.*) //' "/proc/$1/stat" | awk '{printf "%.2f\n", ($12 + $13) / 100}'; }

# A line of /proc/PID/status in MB: VmRSS, or its peak VmHWM.
memory_mb() { awk -v key="$2:" '$1 == key {printf "%.1f\n", $2 * 1024 / 1e6}' "/proc/$1/status"; }

calc() { awk "BEGIN {printf \"%.4f\n\", $1}"; }
median() { sort -n | awk '{v[NR] = $1} END {if (NR) print v[int((NR + 1) / 2)]}'; }

# Waits until an address answers, or says what the process wrote last.
wait_for() {
  local who=$1 pid=$2 address=$3 log=$4
  for _ in $(seq 300); do
    curl -sf -o /dev/null "$address" && return
    kill -0 "$pid" 2>/dev/null || { tail -5 "$log" >&2; fail "$who ended by itself"; }
    sleep 0.1
  done
  tail -5 "$log" >&2
  fail "$who does not answer at $address"
}

# Ends a process of ours and waits for it.
# TERM: programs that a script starts in the background ignore INT.
finish() { kill -TERM "$1" 2>/dev/null || true; wait "$1" 2>/dev/null || true; }
