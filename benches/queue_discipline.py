#!/usr/bin/env python3
"""Who is served in time when more is ordered than can be served: --queue-discipline fifo, lifo and priority, in turns.

A real server on this machine, durable, with one order worker. An order has 256 lines, each of another partition, so that a turn
(`--strategy partitioned --partitions 256`: all owners meet) takes longer than to take an order in: the worker is what is short, not the
door. First it is measured how many orders a second it serves; then twice as many are placed for some seconds. A client prefers to
wait (`Prefer: wait=`) for so long, and then goes away without cancelling; its order stays. After that the queue is left to run empty.
Priorities are spread evenly, by a seed, and aged in the usual 10 s a step.

Prints, per round and as medians of the rounds: the share of orders fulfilled within the wait, the median and the 99th percentile of the
time from placed to fulfilled, of all of them and as the orders say it, and how long the oldest had waited when the load ended.

  benches/queue_discipline.py [ROUNDS] [SECONDS] [WAIT]     defaults: 3 rounds, 8 s of load, 2 s of waiting

Needs Python 3.11 alone. SERVER names another binary than target/release/inventory, which is built first unless it is set; FOLDER where
the servers keep their stock meanwhile, another than target.
"""
import asyncio
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime

ROUNDS, SECONDS, WAIT = (int(value) for value in (sys.argv[1:] + ["3", "8", "2"][len(sys.argv) - 1:]))
DISCIPLINES = ["fifo", "lifo", "priority"]
LINES = 256
OVERLOAD = 2.0
SEED = 7
# No more than this, however fast the machine is: each client that waits has a connection.
PER_SECOND_MAX = 1500
DRAIN_S_MAX = 60
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


class Server:
    """A server with its levels, killed by its pid at the end."""

    def __init__(self, binary, discipline):
        self.folder = tempfile.TemporaryDirectory(dir=os.environ.get("FOLDER") or os.path.join(ROOT, "target"))
        self.process = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--data-dir", os.path.join(self.folder.name, "data"),
             "--strategy", "partitioned", "--partitions", str(LINES), "--order-workers", "1",
             "--queue-capacity", "100000", "--queue-discipline", discipline, "--log", "error"],
            stdout=subprocess.PIPE)
        address = self.process.stdout.readline().decode().strip().removeprefix("http://")
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.folder.cleanup()

    async def send(self, method, path, body=b"", headers=""):
        """One request on a connection of its own: status and body of the answer."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        kind = "application/x-ndjson" if path == "/v1/import" else "application/json"
        typed = f"Content-Type: {kind}\r\n" if body else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{typed}{headers}Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.read(-1)
        writer.close()
        return int(answer[9:12]), answer.split(b"\r\n\r\n", 1)[1]

    async def queued(self):
        _, text = await self.send("GET", "/metrics")
        return int(re.search(rb"^inventory_orders_queued (\d+)", text, re.MULTILINE).group(1))

    async def stock(self):
        lines = [json.dumps({"sku": f"S{at:04}", "on_hand": 1 << 30}) for at in range(LINES)]
        status, text = await self.send("POST", "/v1/import", "\n".join(lines).encode())
        assert status == 200, text

    async def drained(self):
        for _ in range(DRAIN_S_MAX * 10):
            if await self.queued() == 0:
                return
            await asyncio.sleep(0.1)
        sys.exit(f"the queue is not empty after {DRAIN_S_MAX} s")

    async def times(self):
        """When each order was placed and fulfilled, in seconds."""
        path, found = "/v1/orders?limit=500", []
        while path:
            status, text = await self.send("GET", path)
            assert status == 200, text
            page = json.loads(text)
            found += [(seconds(order["created_at"]), seconds(order["fulfilled_at"])) for order in page["items"]]
            path = f"/v1/orders?limit=500&cursor={page['next_cursor']}" if "next_cursor" in page else None
        return found


def seconds(time):
    return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()


def order(priority):
    lines = [{"sku": f"S{at:04}", "quantity": 1} for at in range(LINES)]
    return json.dumps({"lines": lines, "priority": priority}).encode()


ORDERS = [order(priority) for priority in range(10)]


async def capacity(binary):
    """How many orders a second one worker serves that has enough to do."""
    with Server(binary, "fifo") as server:
        await server.stock()
        for _ in range(3):
            await asyncio.gather(*(server.send("POST", "/v1/orders", ORDERS[0]) for _ in range(200)))
        await server.drained()
        ended = sorted(fulfilled for _, fulfilled in await server.times())
        return (len(ended) - 1) / (ended[-1] - ended[0])


async def turn(binary, discipline, per_second):
    """One load on a fresh server: the figures."""
    with Server(binary, discipline) as server:
        await server.stock()
        chance, clients = random.Random(SEED), []
        clock = asyncio.get_running_loop()
        began = clock.time()
        for at in range(int(per_second * SECONDS)):
            await asyncio.sleep(max(0.0, began + at / per_second - clock.time()))
            body = ORDERS[chance.randrange(10)]
            clients.append(asyncio.create_task(server.send("POST", "/v1/orders", body, f"Prefer: wait={WAIT}\r\n")))
        answers = await asyncio.gather(*clients)
        refused = [status for status, _ in answers if status not in (200, 202)]
        assert not refused, f"{len(refused)} orders were not taken in: {refused[0]}"
        await server.drained()
        return figures(await server.times())


def figures(times):
    placed_last = max(placed for placed, _ in times)
    took = sorted(fulfilled - placed for placed, fulfilled in times)
    left = [placed_last - placed for placed, fulfilled in times if fulfilled > placed_last]
    percentile = took[-(-99 * len(took) // 100) - 1]
    in_time = 100 * sum(each <= WAIT for each in took) / len(took)
    return in_time, statistics.median(took), percentile, max(left, default=0.0), float(len(left))


def row(name, figures):
    in_time, median, percentile, oldest, left = figures
    print(f"{name:10} {in_time:12.0f} % {median:10.2f} s {percentile:10.2f} s {oldest:10.2f} s {left:8.0f}", flush=True)


async def main():
    binary = os.environ.get("SERVER")
    if not binary:
        subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "inventory"], cwd=ROOT, check=True)
        binary = os.path.join(ROOT, "target", "release", "inventory")
    print(f"{'':10} {f'in {WAIT} s':>14} {'median':>12} {'99%':>12} {'oldest left':>12} {'left':>8}")
    rounds = {discipline: [] for discipline in DISCIPLINES}
    for at in range(ROUNDS):
        # Anew for each round: the speed of a machine that is shared varies.
        serves = await capacity(binary)
        per_second = min(OVERLOAD * serves, PER_SECOND_MAX)
        print(f"round {at + 1}: serves {serves:.0f} orders a second; {per_second:.0f} are placed, for {SECONDS} s")
        # Each is first in turn.
        for discipline in DISCIPLINES[at % 3:] + DISCIPLINES[:at % 3]:
            rounds[discipline].append(await turn(binary, discipline, per_second))
            row(discipline, rounds[discipline][-1])
    print(f"medians of {ROUNDS} rounds")
    for discipline, turns in rounds.items():
        row(discipline, [statistics.median(values) for values in zip(*turns)])


# Told to end, it ends its server, too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
asyncio.run(main())
