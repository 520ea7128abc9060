"""aiohttp: many at once, against a running service."""

import asyncio
import json
import sys

import aiohttp

url = sys.argv[1]
TASKS, EACH = 40, 25


async def main():
    limits = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(url, timeout=limits, connector=aiohttp.TCPConnector(limit=16)) as shop:

        async def ask(method, path, status, **more):
            async with shop.request(method, path, **more) as answer:
                text = await answer.text()
                assert answer.status == status, (method, path, answer.status, text[:500])
                return json.loads(text) if text.startswith("{") else text

        await ask("PUT", "/v1/stock/A", 201, json={"on_hand": 1_000})

        async def sell(key):
            while True:
                async with shop.post("/v1/stock/A/adjust", json={"delta": -1}, headers=key) as answer:
                    told = await answer.json(content_type=None)
                if answer.status == 200:
                    return told
                assert (answer.status, told["type"]) == (409, "/problems/idempotency-key-in-progress"), told

        async def buyer(number):
            sold = 0
            for turn in range(EACH):
                key = {"Idempotency-Key": f"{number}-{turn}"}
                # Sent twice at once: carried out once. Whoever comes while it is under way is told so, and asks again.
                pair = [sell(key) for _ in range(2)]
                first, second = await asyncio.gather(*pair)
                assert first == second, (first, second)
                sold += 1
                if turn % 5 == 0:
                    await ask("POST", "/v1/adjustments", 415, data=b"x" * 100_000, headers={"Content-Type": "text/plain"})
            return sold

        sold = await asyncio.gather(*(buyer(number) for number in range(TASKS)))
        assert sum(sold) == TASKS * EACH == 1_000
        level = await ask("GET", "/v1/stock/A", 200)
        assert (level["on_hand"], level["version"]) == (0, 1_001), level
        await ask("POST", "/v1/stock/A/adjust", 409, json={"delta": -1})

        # Who waits for stock is told when it comes; who stops waiting is forgotten.
        waiting = asyncio.create_task(ask("GET", "/v1/stock/A?min_available=5", 200, headers={"Prefer": "wait=20"}))
        given_up = asyncio.create_task(ask("GET", "/v1/stock/A?min_available=99", 200, headers={"Prefer": "wait=20"}))
        await asyncio.sleep(0.2)
        given_up.cancel()
        await ask("POST", "/v1/stock/A/adjust", 200, json={"delta": 5})
        assert (await waiting)["available"] == 5

        # The stream has each change once, in order; it is left in the middle.
        async with shop.get("/v1/events", params={"after": 0}) as events:
            numbers = []
            async for line in events.content:
                if line.startswith(b"data:"):
                    numbers.append(json.loads(line[5:])["seq"])
                if len(numbers) == 500:
                    break
        assert numbers == list(range(1, 501)), numbers
        assert (await ask("GET", "/v1/stock/A", 200))["on_hand"] == 5


asyncio.run(main())
