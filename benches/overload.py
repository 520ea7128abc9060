#!/usr/bin/env python3
"""Whether shedding keeps throughput (DESIGN, P11): what is carried out at three times the load that can be, against what is at most.

    cargo build --release --locked && python3 benches/overload.py

A durable server with its default bounds has one core, one process that asks the other. In turns: as fast as CLOSED connections that wait for each answer get
on, which is what can be sustained; and FACTOR times as many a second, at random moments (Poisson), whatever comes back, over CONNECTIONS connections. Printed are how many a
second were carried out (200) and how many were refused (503), the ratio to what can be sustained, and the percentiles of those that were carried out, from when
each was to be sent. Anything but 200 and 503 ends it.

What is asked for is a level as it was at a random moment, for which a thousand records are read: an order of magnitude more work to answer than to ask,
so that one process can ask for three times what can be done.
"""

import argparse
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
import time

LEVELS, MOVEMENTS, LINES = 1_000, 2_000_000, 100
CLOSED, CONNECTIONS = 64, 3_000


def request(method, target, body=b""):
    kind = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body) if body else b""
    return b"%b %b HTTP/1.1\r\nHost: x\r\n%b\r\n%b" % (method, target, kind, body)


def batch(lines):
    lines = [{"sku": f"S{line % LEVELS:04}", "delta": 1} for line in lines]
    return request(b"POST", b"/v1/adjustments", json.dumps({"mode": "independent", "lines": lines}).encode())


def looks(chance):
    """A thousand different ones, made once."""
    where = [(chance.randrange(LEVELS), chance.randrange(LEVELS, MOVEMENTS)) for _ in range(1_000)]
    return [request(b"GET", b"/v1/stock/S%04d?at=%d" % look) for look in where]


class Connection(asyncio.Protocol):
    """One request at a time; what came of it goes to `answered`."""

    def __init__(self, answered):
        self.answered, self.buffer, self.needed = answered, b"", None

    def connection_made(self, transport):
        self.transport = transport

    def ask(self, request, intended):
        self.intended = intended
        self.transport.write(request)

    def data_received(self, data):
        self.buffer += data
        if self.needed is None:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self.status = int(self.buffer[9:12])
            self.needed = end + 4 + int(re.search(rb"(?i)content-length: (\d+)", self.buffer[:end]).group(1))
        if len(self.buffer) >= self.needed:
            self.buffer, self.needed = b"", None
            self.answered(self, self.status, time.perf_counter() - self.intended)

    def connection_lost(self, error):
        self.answered(self, 0, 0.0)


async def connect(address, number, answered):
    loop = asyncio.get_running_loop()
    made = [loop.create_connection(lambda: Connection(answered), *address) for _ in range(number)]
    return [protocol for _, protocol in await asyncio.gather(*made)]


def judged(statuses, status):
    if status not in (200, 503):
        sys.exit(f"answered {status}")
    statuses[status] += 1


async def closed(address, requests, seconds):
    """How many a second get done by those who wait for their answers."""
    statuses, over = {200: 0, 503: 0}, False

    def answered(connection, status, _took):
        if not over:
            judged(statuses, status)
            connection.ask(random.choice(requests), time.perf_counter())

    connections = await connect(address, CLOSED, answered)
    began = time.perf_counter()
    for connection in connections:
        connection.ask(random.choice(requests), began)
    await asyncio.sleep(seconds)
    over = True
    rate = statuses[200] / (time.perf_counter() - began)
    await asyncio.sleep(0.3)
    for connection in connections:
        connection.transport.abort()
    assert statuses[503] == 0, "nothing is refused to those who wait"
    return rate


async def open_loop(address, requests, rate, seconds):
    """The same for those who come whatever is done: accepted and refused a second, how long the accepted took, how many found no connection."""
    statuses, took, over, unsent = {200: 0, 503: 0}, [], False, 0
    idle = []

    def answered(connection, status, seconds_taken):
        if not over:
            judged(statuses, status)
            if status == 200:
                took.append(seconds_taken)
        idle.append(connection)

    connections = await connect(address, CONNECTIONS, answered)
    idle.extend(connections)
    began = time.perf_counter()
    due = began
    while due < began + seconds:
        due += random.expovariate(rate)
        pause = due - time.perf_counter()
        # Those that are due are sent together; a loop that never slept would never read, either.
        if pause > 0.0005 or len(idle) < CONNECTIONS - CLOSED and pause < -0.005:
            await asyncio.sleep(max(pause, 0))
        if idle:
            idle.pop().ask(random.choice(requests), due)
        else:
            unsent += 1
            await asyncio.sleep(0)
    lasted = time.perf_counter() - began
    over = True
    await asyncio.sleep(1)
    for connection in connections:
        connection.transport.abort()
    return statuses[200] / lasted, statuses[503] / lasted, sorted(took), unsent / lasted


async def fill(address):
    stock = "".join(f'{{"sku":"S{level:04}","on_hand":1000000}}\n' for level in range(LEVELS)).encode()
    head = b"POST /v1/import HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n"
    done = asyncio.Queue()
    [connection] = await connect(address, 1, lambda _connection, status, _took: done.put_nowait(status))
    todo = [head % len(stock) + stock] + [batch(range(at, at + LINES)) for at in range(0, MOVEMENTS, LINES)]
    for one in todo:
        connection.ask(one, 0.0)
        assert await done.get() == 200
    connection.transport.abort()


def percentile(values, share):
    return values[min(len(values) - 1, int(len(values) * share))] * 1e3 if values else float("nan")


def measure(address, args):
    requests, ratios = looks(random.Random(7)), []
    asyncio.run(closed(address, requests, 1))
    for _ in range(args.rounds):
        most = asyncio.run(closed(address, requests, args.seconds))
        offered = args.factor * most
        accepted, refused, took, unsent = asyncio.run(open_loop(address, requests, offered, args.seconds))
        ratios.append(accepted / most)
        print(
            f"{most:.0f}/s at most; offered {offered:.0f}/s: {accepted:.0f} carried out, {refused:.0f} refused, {unsent:.0f} unsent; "
            f"ratio {ratios[-1]:.2f}; p50 {percentile(took, 0.5):.0f}, p99 {percentile(took, 0.99):.0f} ms",
            flush=True,
        )
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", default="target/release/inventory")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=5)
    arguments.add_argument("--factor", type=float, default=3)
    arguments.add_argument("more", nargs="*", help="further arguments of `serve`, after --")
    args = arguments.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as data:
        command = [args.binary, "serve", "--listen", "127.0.0.1:0", "--data-dir", data, "--max-connections", "4000"]
        command += ["--max-connections-per-address", "4000", *args.more]
        server = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores[:1]),
        )
        os.sched_setaffinity(0, cores[1:2] or cores)
        try:
            host, port = re.search(r"http://([^:]+):(\d+)", server.stdout.readline()).groups()
            asyncio.run(fill((host, int(port))))
            measure((host, int(port)), args)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


if __name__ == "__main__":
    sys.exit(main())
