#!/usr/bin/env bash
# Lines per second of POST /v1/adjustments in independent mode, 1 000 lines a request, each answered in full: the server
# on one core, wrk (Debian: apt-get install wrk) on another with a pre-formatted body.
#
# Prints lines per second of wall time, and per second of the server's CPU time (/proc/PID/stat): on a machine whose
# cores are shared with others the second is the one to compare.
#
#   benches/batch_lines.sh [ROUNDS] [SECONDS] [STRATEGY]          defaults: 5 rounds of 4 s, atomic
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5} seconds=${2:-4} strategy=${3:-atomic}
server_core=0 client_core=1 connections=8 lines=1000
command -v wrk >/dev/null || { echo "wrk is missing: apt-get install wrk" >&2; exit 1; }
cargo build --release --locked --bin inventory

work=$(mktemp -d)
mkfifo "$work/address"
taskset -c "$server_core" target/release/inventory serve --ephemeral --listen 127.0.0.1:0 --strategy "$strategy" \
  >"$work/address" 2>"$work/log" &
pid=$!
trap 'kill "$pid" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
read -r url <"$work/address"

# Skus and deltas as in the shop's own orders: a few characters each, small numbers.
body() { awk -v n="$lines" -v delta="$1" 'BEGIN {
  printf "{\"mode\":\"independent\",\"lines\":["
  for (i = 0; i < n; i++) printf "%s{\"sku\":\"SKU-%05d\",\"delta\":%d}", (i ? "," : ""), i, delta
  print "]}" }'; }
for ((i = 0; i < lines; i++)); do printf 'SKU-%05d\n' "$i"; done |
  xargs -P4 -I{} curl -fsS -o /dev/null -X PUT --json '{"on_hand":1000000}' "$url/v1/stock/{}"
body 1 >"$work/body.json"
curl -fsS --json @"$work/body.json" "$url/v1/adjustments" | grep -q "\"applied\":$lines,\"refused\":0" ||
  { echo "the batch was not applied whole" >&2; exit 1; }
cat >"$work/post.lua" <<LUA
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open("$work/body.json"); wrk.body = file:read("*a"); file:close()
LUA

ticks() { awk '{sub(/^.*\) /, ""); print $12 + $13}' "/proc/$pid/stat"; }
printf '%-6s %18s %22s\n' round 'lines/s' 'lines/CPU second'
for ((i = 1; i <= rounds; i++)); do
  before=$(ticks)
  report=$(taskset -c "$client_core" wrk -t1 -c"$connections" -d"${seconds}s" -s "$work/post.lua" "$url/v1/adjustments")
  after=$(ticks)
  if grep -q 'Non-2xx' <<<"$report"; then echo "requests were refused: $report" >&2; exit 1; fi
  awk -v round="$i" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" -v lines="$lines" '/requests in/ {
    sub(/s,$/, "", $4)
    printf "%-6s %18.0f %22.0f\n", round, $1 * lines / $4, $1 * lines / (ticks / hz) }' <<<"$report"
done | tee "$work/rows"
awk -v s="$strategy" '{ print $3 }' "$work/rows" | sort -n |
  awk -v s="$strategy" '{ r[NR] = $1 } END { printf "median lines per CPU second (%s): %s\n", s, r[int((NR + 1) / 2)] }'
