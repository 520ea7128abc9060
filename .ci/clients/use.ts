// Types that openapi-typescript made and openapi-fetch uses, against a running service: what a shop does in a day.
import assert from "node:assert/strict";

import createClient from "openapi-fetch";

import type { paths } from "./schema.js";

const client = createClient<paths>({ baseUrl: process.argv[2]! });

for (const sku of ["A-1", "B 2", "ä/3"]) {
  const put = await client.PUT("/v1/stock/{sku}", { params: { path: { sku } }, body: { on_hand: 10 } });
  assert.equal(put.response.status, 201);
  assert.equal(put.data?.available, 10);
}
const short = await client.POST("/v1/stock/{sku}/adjust", {
  params: { path: { sku: "A-1" }, header: { "Idempotency-Key": "k" } },
  body: { delta: -11 },
});
assert.equal(short.response.status, 409);
assert.equal(short.error?.type, "/problems/insufficient-stock");
assert.equal(short.error?.lines?.[0]?.available, 10);

const moved = await client.POST("/v1/transfers", { body: { lines: [{ sku: "A-1", from: "main", to: "shop", quantity: 2 }] } });
assert.equal(moved.data?.levels.length, 2);

const held = await client.POST("/v1/reservations", { body: { lines: [{ sku: "B 2", quantity: 3 }] } });
const id = held.data!.id;
const done = await client.POST("/v1/reservations/{id}/commit", { params: { path: { id } }, body: {} });
assert.equal(done.data?.state, "committed");

const seen: string[] = [];
for (let cursor: string | undefined; ; ) {
  const page = await client.GET("/v1/stock", { params: { query: cursor ? { limit: 1, cursor } : { limit: 1 } } });
  seen.push(...page.data!.items.map((level) => `${level.sku} ${level.location}`));
  cursor = page.data!.next_cursor;
  if (!cursor) break;
}
assert.equal(new Set(seen).size, 4);
assert.equal(seen.length, 4);

// A body of lines is a text, which is sent as it is.
const imported = await client.POST("/v1/import", {
  body: '{"sku":"C","on_hand":1}\n',
  bodySerializer: (body) => body,
  headers: { "Content-Type": "application/x-ndjson" },
});
assert.equal(imported.data?.created, 1);
const exported = await client.GET("/v1/export", { params: { query: { format: "ndjson" } }, parseAs: "text" });
assert.equal(exported.data?.trimEnd().split("\n").length, 5);
const movements = await client.GET("/v1/movements", { params: { query: { sku: "B 2" } } });
assert.deepEqual(movements.data?.items.map((movement) => movement.kind), ["shipped", "reserved", "created"]);
console.log("openapi-fetch: ok");
