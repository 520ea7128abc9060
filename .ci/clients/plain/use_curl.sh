# curl, as the README and anybody at a terminal uses it.
set -euo pipefail
url=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
readonly json='Content-Type: application/json'

# status OPTIONS...: the status alone, with the body put aside.
status() { curl --silent --show-error --max-time 20 --output "$work/body" --write-out '%{http_code}' "$@"; }
expect() {
  local expected=$1 got
  shift
  got=$(status "$@")
  [[ $got == "$expected" ]] || { echo "curl $*: $got, not $expected: $(<"$work/body")" >&2; exit 1; }
}

expect 201 -X PUT "$url/v1/stock/widget" -H "$json" -d '{"on_hand":10}'
expect 200 "$url/v1/stock/widget/adjust" --json '{"delta":-3}'
expect 409 "$url/v1/stock/widget/adjust" --json '{"delta":-30}'
grep -q insufficient-stock "$work/body"
# What curl says of a body unless it is told otherwise is refused, and the answer says what to say.
expect 415 "$url/v1/stock/widget/adjust" -d '{"delta":-3}'
grep -q application/json "$work/body"
expect 201 -X PUT "$url/v1/stock/$(printf 'b%%C3%%A4r')" --json '{"on_hand":1}'

# The same key twice is one change; a condition that does not hold is none.
for _ in 1 2; do expect 200 "$url/v1/stock/widget/adjust" -H 'Idempotency-Key: k' --json '{"delta":-1}'; done
expect 412 -X PUT "$url/v1/stock/widget" -H 'If-Match: "1"' --json '{"on_hand":1}'
expect 304 -H 'If-None-Match: "3"' "$url/v1/stock/widget"
[[ $(curl -s "$url/v1/stock/widget") == *'"on_hand":6'* ]]

# Without a body, and what else is asked of servers.
expect 200 --head "$url/v1/stock/widget"
expect 204 -X OPTIONS "$url/v1/stock/widget"
expect 200 --http1.0 "$url/v1/stock/widget"
expect 200 --http2-prior-knowledge "$url/v1/stock/widget/adjust" --json '{"delta":1}'
expect 200 --http2 "$url/v1/stock/widget"

# A file, sent as it is read, with and without a length; one that is too much is refused before it is sent.
seq -f '{"sku":"f%g","on_hand":1}' 20000 >"$work/lines"
expect 200 -X POST -T "$work/lines" -H 'Content-Type: application/x-ndjson' "$url/v1/import"
expect 200 -X POST -T - -H 'Content-Type: application/x-ndjson' "$url/v1/import" <"$work/lines"
head --bytes=20000000 /dev/zero >"$work/zeros"
expect 413 -H "$json" -H 'Expect: 100-continue' --data-binary @"$work/zeros" "$url/v1/adjustments"
# What is refused early, again and again on one connection, with what is not refused in between.
for _ in 1 2 3 4 5; do
  codes=$(curl -s -o "$work/1" -w '%{http_code} ' -H "$json" --data-binary @"$work/lines" "$url/nothing" \
    --next -s -o "$work/2" -w '%{http_code} ' --json '{"delta":1}' "$url/v1/stock/widget/adjust" \
    --next -s -o "$work/3" -w '%{http_code}' -H 'Content-Type: text/plain' --data-binary @"$work/lines" "$url/v1/adjustments")
  [[ $codes == "404 200 415" ]] || { echo "on one connection: $codes" >&2; exit 1; }
done

# An export and a stream that are left in the middle harm nobody.
curl -s "$url/v1/export" | head -1 >/dev/null || true
events=$(curl -s --max-time 1 "$url/v1/events?after=0" || true)
[[ $events == *'event: created'* ]]
expect 200 "$url/readyz"
