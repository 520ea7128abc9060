#!/usr/bin/env bash
# What a request costs beyond what axum itself costs: server CPU time per POST /v1/stock/{sku}/adjust, against
# examples/bare_axum.rs, which reads the body and answers a fixed one of the same size.
#
# Both run on one core, driven by wrk (Debian: apt-get install wrk) from another, with the same pre-formatted request,
# in interleaved rounds. CPU time is the kernel's own count for the process (/proc/PID/stat), so a noisy machine blurs
# it less than it blurs throughput. Prints each round and the median of the rounds' ratios.
#
#   benches/http_overhead.sh [ROUNDS] [SECONDS] [STRATEGY]        defaults: 7 rounds of 4 s, atomic
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-7} seconds=${2:-4} strategy=${3:-atomic}
server_core=0 client_core=1 connections=64
command -v wrk >/dev/null || { echo "wrk is missing: apt-get install wrk" >&2; exit 1; }
cargo build --release --locked --bin inventory --example bare_axum

work=$(mktemp -d)
pids=()
stop() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$work"; }
trap stop EXIT

# start NAME COMMAND...: sets url_NAME and pid_NAME.
start() {
  local name=$1; shift
  mkfifo "$work/$name"
  taskset -c "$server_core" "$@" >"$work/$name" 2>"$work/$name.log" &
  pids+=($!)
  printf -v "pid_$name" %s $!
  read -r "url_$name" <"$work/$name"
}
start service target/release/inventory serve --ephemeral --listen 127.0.0.1:0 --strategy "$strategy"
start bare target/release/examples/bare_axum
curl -fsS -X PUT --json '{"on_hand":1000000}' "$url_service/v1/stock/85123A" >/dev/null
curl -fsS --json '{"delta":1}' "$url_service/v1/stock/85123A/adjust" >/dev/null

cat >"$work/post.lua" <<'LUA'
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"delta":1}'
LUA

ticks() { awk '{sub(/^.*\) /, ""); print $12 + $13}' "/proc/$1/stat"; }

# round NAME: prints microseconds of server CPU per request, and requests per second.
round() {
  local pid_var=pid_$1 url_var=url_$1 before after report
  before=$(ticks "${!pid_var}")
  report=$(taskset -c "$client_core" wrk -t1 -c"$connections" -d"${seconds}s" -s "$work/post.lua" "${!url_var}/v1/stock/85123A/adjust")
  after=$(ticks "${!pid_var}")
  if grep -q 'Non-2xx' <<<"$report"; then echo "$1 refused requests: $report" >&2; exit 1; fi
  awk -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" -v seconds="$seconds" \
    '/requests in/ { printf "%.3f %.0f\n", ticks / hz * 1e6 / $1, $1 / seconds }' <<<"$report"
}

round service >/dev/null; round bare >/dev/null   # warm-up
printf '%-6s %16s %16s %8s %14s %14s\n' round 'service us/req' 'bare us/req' ratio 'service req/s' 'bare req/s'
for ((i = 1; i <= rounds; i++)); do
  read -r service_us service_rate < <(round service)
  read -r bare_us bare_rate < <(round bare)
  ratio=$(awk -v a="$service_us" -v b="$bare_us" 'BEGIN { printf "%.3f", a / b }')
  printf '%-6s %16s %16s %8s %14s %14s\n' "$i" "$service_us" "$bare_us" "$ratio" "$service_rate" "$bare_rate"
  echo "$ratio" >>"$work/ratios"
done
sort -n "$work/ratios" | awk -v s="$strategy" '{ r[NR] = $1 } END { printf "median ratio (%s): %s\n", s, r[int((NR + 1) / 2)] }'
