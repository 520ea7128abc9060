#!/usr/bin/env bash
# What durability costs: the same service, strategy and load with its journal and with --ephemeral, in turns.
#
# Single adjustments and independent batches of 1 000 lines, both over 256 connections; the servers and wrk (Debian:
# apt-get install wrk) share all cores. Prints requests (lines) per second of both, and their ratio per round and median.
#
#   benches/durable.sh [ROUNDS] [SECONDS] [STRATEGY] [FOLDER]     defaults: 5 rounds of 4 s, atomic, a folder beside the target
#
# SERVER names another binary than target/release/inventory, which is built first unless it is set.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5} seconds=${2:-4} strategy=${3:-atomic} folder=${4:-target}
lines=1000 levels=1000
command -v wrk >/dev/null || { echo "wrk is missing: apt-get install wrk" >&2; exit 1; }
[[ -n ${SERVER:-} ]] || cargo build --release --locked --bin inventory
server=${SERVER:-target/release/inventory}

mkdir -p "$folder"
work=$(mktemp -d -p "$folder")
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT

# start NAME ARGUMENT...: a server with 1 000 levels, whose address is left in $work/NAME.url
start() {
  local name=$1 url
  shift
  mkfifo "$work/$name"
  "$server" serve --listen 127.0.0.1:0 --strategy "$strategy" --log warn "$@" >"$work/$name" 2>"$work/$name.log" &
  pids+=($!)
  read -r url <"$work/$name"
  echo "$url" >"$work/$name.url"
  awk -v n="$levels" 'BEGIN { for (i = 0; i < n; i++) printf "{\"sku\":\"SKU-%05d\",\"on_hand\":1000000}\n", i }' |
    curl -fsS -o "$work/$name.import" -H 'Content-Type: application/x-ndjson' --data-binary @- "$url/v1/import"
}
start durable --data-dir "$work/data"
start ephemeral --ephemeral

awk -v n="$lines" 'BEGIN {
  printf "{\"mode\":\"independent\",\"lines\":["
  for (i = 0; i < n; i++) printf "%s{\"sku\":\"SKU-%05d\",\"delta\":1}", (i ? "," : ""), i
  print "]}" }' >"$work/batch.json"
cat >"$work/batch.lua" <<LUA
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open("$work/batch.json"); wrk.body = file:read("*a"); file:close()
LUA
cat >"$work/single.lua" <<LUA
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"delta":1}'
local sent = 0
request = function()
  sent = sent + 1
  return wrk.format(nil, string.format("/v1/stock/SKU-%05d/adjust", sent % $levels))
end
LUA

# turn NAME SCRIPT CONNECTIONS PATH: requests per second
turn() {
  local report
  report=$(wrk -t1 -c"$3" -d"${seconds}s" -s "$work/$2.lua" "$(<"$work/$1.url")$4")
  if grep -q 'Non-2xx' <<<"$report"; then echo "requests were refused: $report" >&2; exit 1; fi
  awk '/Requests\/sec/ { print $2 }' <<<"$report"
}
compare() {
  local name=$1 script=$2 connections=$3 path=$4 each=$5 round durable ephemeral
  printf '%-10s %6s %14s %14s %7s\n' "$name" round durable/s ephemeral/s ratio
  for ((round = 1; round <= rounds; round++)); do
    durable=$(turn durable "$script" "$connections" "$path")
    ephemeral=$(turn ephemeral "$script" "$connections" "$path")
    awk -v r="$round" -v d="$durable" -v e="$ephemeral" -v each="$each" \
      'BEGIN { printf "%-10s %6d %14.0f %14.0f %7.2f\n", "", r, d * each, e * each, d / e }'
  done | tee "$work/rows"
  sort -k4 -n "$work/rows" | awk -v name="$name" '{ ratio[NR] = $4 }
    END { printf "median ratio of %s: %s\n", name, ratio[int((NR + 1) / 2)] }'
}
compare single single 256 / 1
compare batch batch 256 /v1/adjustments "$lines"
curl -fsS "$(<"$work/durable.url")/metrics" | grep -E '^inventory_journal_(sync_seconds|group_records)_(sum|count)'
