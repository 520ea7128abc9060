// fetch, as Node has it, against a running service.
import assert from "node:assert/strict";

const url = process.argv[2];

async function ask(method, path, status, body, headers = {}) {
  const json = body === undefined || typeof body === "string" ? {} : { "Content-Type": "application/json" };
  const sent = json["Content-Type"] ? JSON.stringify(body) : body;
  const answer = await fetch(url + path, { method, headers: { ...json, ...headers }, body: sent, signal: AbortSignal.timeout(20_000) });
  const text = await answer.text();
  assert.equal(answer.status, status, `${method} ${path}: ${text.slice(0, 500)}`);
  return text.startsWith("{") ? JSON.parse(text) : text;
}

for (const sku of ["A-1", "B 2", "ä/3", "100%"]) {
  const path = `/v1/stock/${encodeURIComponent(sku)}`;
  assert.equal((await ask("PUT", path, 201, { on_hand: 500 })).sku, sku);
  assert.equal((await ask("GET", path, 200)).on_hand, 500);
}

// Many at once, each change once.
const each = Array.from({ length: 200 }, (_, number) => ask("POST", "/v1/stock/A-1/adjust", 200, { delta: -1 }, { "Idempotency-Key": `n${number % 100}` }));
await Promise.all(each);
assert.equal((await ask("GET", "/v1/stock/A-1", 200)).on_hand, 400);

// What is refused before it was read does not spoil the connection for what comes next.
const large = "x".repeat(200_000);
for (let turn = 0; turn < 30; turn++) {
  await ask("POST", "/nothing", 404, large);
  await ask("POST", "/v1/stock/B%202/adjust", 200, { delta: 1 });
  await ask("POST", "/v1/adjustments", 415, large, { "Content-Type": "text/plain" });
  await ask("POST", "/v1/stock/B%202/adjust", 200, { delta: -1 });
}
assert.equal((await ask("GET", "/v1/stock/B%202", 200)).version, 61);

// A body that is made while it is sent.
const lines = new ReadableStream({
  start(controller) {
    for (let n = 0; n < 3_000; n++) controller.enqueue(new TextEncoder().encode(`{"sku":"L${n}","on_hand":${n}}\n`));
    controller.close();
  },
});
const imported = await fetch(`${url}/v1/import`, { method: "POST", body: lines, duplex: "half", headers: { "Content-Type": "application/x-ndjson" } });
assert.equal((await imported.json()).created, 3_000);

// Who waits is told; who gives up has given up; a stream that is left does not stand in the way.
const waiting = ask("GET", "/v1/stock/A-1?min_available=450", 200, undefined, { Prefer: "wait=15" });
const given_up = new AbortController();
const never = fetch(`${url}/v1/stock/A-1?min_available=9999`, { headers: { Prefer: "wait=15" }, signal: given_up.signal });
setTimeout(() => given_up.abort(), 100);
await assert.rejects(never, { name: "AbortError" });
await ask("POST", "/v1/stock/A-1/adjust", 200, { delta: 50 });
assert.equal((await waiting).available, 450);
const events = await fetch(`${url}/v1/events?after=0`);
const reader = events.body.getReader();
for (let told = ""; !told.includes("event: created"); ) {
  const { done, value } = await reader.read();
  assert.ok(!done, told);
  told += new TextDecoder().decode(value);
}
await reader.cancel();
assert.equal((await ask("GET", "/v1/stock/A-1", 200)).on_hand, 450);
process.exit(0);
