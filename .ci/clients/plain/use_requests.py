"""requests: one session, whose connections are kept, against a running service."""

import json
import sys

import requests

url = sys.argv[1]
shop = requests.Session()


def ask(method, path, status, **more):
    answer = shop.request(method, url + path, timeout=20, **more)
    assert answer.status_code == status, (method, path, answer.status_code, answer.text[:500])
    return answer


for sku in ("A-1", "B 2", "\u00e4/3", "100%", "a?b#c"):
    path = "/v1/stock/" + requests.utils.quote(sku, safe="")
    assert ask("PUT", path, 201, json={"on_hand": 10}).json()["sku"] == sku
    assert ask("GET", path, 200).headers["ETag"] == '"1"'
    assert ask("HEAD", path, 200).content == b""
    ask("GET", path, 304, headers={"If-None-Match": '"1"'})

# One key, one change, however often it is sent.
for attempt in range(3):
    answer = ask("POST", "/v1/stock/A-1/adjust", 200, json={"delta": -1}, headers={"Idempotency-Key": "k"})
    assert answer.json()["on_hand"] == 9
    assert ("Idempotent-Replayed" in answer.headers) == (attempt > 0)
problem = ask("POST", "/v1/stock/A-1/adjust", 409, json={"delta": -10}).json()
assert problem["type"] == "/problems/insufficient-stock" and problem["lines"][0]["available"] == 9, problem

# A body whose length nobody knows before; one that is refused before it was read, with what is not in between.
lines = [json.dumps({"sku": f"L{n}", "on_hand": n}) + "\n" for n in range(5_000)]
imported = ask("POST", "/v1/import", 200, data=(line.encode() for line in lines), headers={"Content-Type": "application/x-ndjson"})
assert imported.json()["created"] == 5_000
large = b"x" * 200_000
for turn in range(30):
    ask("POST", "/nothing", 404, data=large)
    ask("POST", "/v1/stock/A-1/adjust", 200, json={"delta": 1})
    ask("POST", "/v1/adjustments", 415, data=large, headers={"Content-Type": "text/plain"})
    ask("POST", "/v1/stock/A-1/adjust", 200, json={"delta": -1})
    ask("PATCH", "/v1/stock/A-1", 405, data=large)
assert ask("GET", "/v1/stock/A-1", 200).json()["on_hand"] == 9

# Pages are followed by what they say.
seen, page = 0, ask("GET", "/v1/stock?limit=999", 200)
while True:
    seen += len(page.json()["items"])
    if "next" not in page.links:
        break
    page = ask("GET", page.links["next"]["url"], 200)
assert seen == 5_005, seen

# An export that is read in pieces is whole; one that is left, and events that do not end, do not stand in the way.
with ask("GET", "/v1/export", 200, stream=True) as export:
    assert sum(1 for _ in export.iter_lines()) == 5_005
ask("GET", "/v1/export", 200, stream=True).close()
with ask("GET", "/v1/events?after=0", 200, stream=True) as events:
    first = next(line for line in events.iter_lines() if line.startswith(b"data:"))
    assert json.loads(first[5:])["sku"] == "A-1", first
assert ask("GET", "/v1/stock/A-1", 200).json()["on_hand"] == 9
