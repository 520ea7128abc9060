#!/usr/bin/env python3
"""What slow clients cost an ordinary one, and the service's memory.

    cargo build --release && python3 benches/slow_clients.py

Starts `inventory serve` (durable, its default bounds but for those of connections, a write timeout of 10 s, and 15 s to idle) and lets an ordinary client ask it over four connections, one
after another: alone, and beside each kind of slow client, in turns. Prints p50 and p99 of the ordinary client, by how much p99 grew (the ratio of each turn, and their median),
the memory of the service before, at most and after, and how long it took until all slow clients were gone. Nothing else may run meanwhile.

    heads    2 000 connections that send half a head, and a byte now and then
    bodies   2 000 that announce 64 KiB and send a byte now and then
    exports  500 that ask for an export of 20 000 levels and take nothing of it; all but --exports-max are refused, and take nothing of that
    pages    500 that ask for a page of 1 000 levels and take nothing of it
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

CONNECTIONS = 4
ADJUST = b'{"delta":1}'


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def rss_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024


async def answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    if length:
        await reader.readexactly(int(length.group(1)))
    return int(head.split(b" ", 2)[1])


async def ordinary(address, seconds):
    """Asks for as long, and answers how long each request took, in ms."""
    took = []

    async def one(sku):
        reader, writer = await asyncio.open_connection(*address)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            began = time.perf_counter()
            writer.write(
                b"POST /v1/stock/%b/adjust HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (sku, len(ADJUST), ADJUST)
            )
            status = await answer(reader)
            took.append((time.perf_counter() - began) * 1e3)
            assert status == 200, status
            await asyncio.sleep(0.002)
        writer.close()

    await asyncio.gather(*(one(b"S%d" % number) for number in range(CONNECTIONS)))
    return took


async def one_slow(address, kind, alive):
    first, then = {
        "heads": (b"GET /v1/stock HTTP/1.1\r\nHost: x\r\nX-A: ", b"b"),
        "bodies": (
            b"POST /v1/adjustments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 65536\r\n\r\n{",
            b" ",
        ),
        "exports": (b"GET /v1/export HTTP/1.1\r\nHost: x\r\n\r\n", b""),
        "pages": (b"GET /v1/stock?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n", b""),
    }[kind]
    reader, writer = await asyncio.open_connection(*address, limit=1024)
    alive.value += 1
    try:
        writer.write(first)
        if not then:
            # Nothing more is taken off the socket than fits the smallest buffer, until the service resets it.
            writer.transport.pause_reading()
            while not is_reset(writer):
                await asyncio.sleep(0.5)
            return
        # Not all of them at the same moment: that would be a burst, and measured as one.
        await asyncio.sleep(random.random())
        while not reader.at_eof():
            writer.write(then)
            await writer.drain()
            await asyncio.sleep(1)
            if reader._buffer:  # It was answered: that is the end of it.
                return
    except OSError:
        pass
    finally:
        alive.value -= 1
        writer.close()


def is_reset(writer):
    socket = writer.get_extra_info("socket")
    state = socket.getsockopt(6, 11, 1)[0]  # TCP_INFO: its first byte is the state, 1 of which is established.
    return state != 1


def slow_clients(address, kind, number, alive):
    """A process of its own, so that what it costs to be slow is not taken for what it does to others."""

    async def all_of_them():
        await asyncio.gather(*(one_slow(address, kind, alive) for _ in range(number)))

    asyncio.run(all_of_them())


class Slow:
    """Many slow clients of one kind, and how many of them are still connected."""

    def __init__(self, address, kind, number):
        self.number, self.alive = number, multiprocessing.Value("i", 0)
        self.process = multiprocessing.Process(target=slow_clients, args=(address, kind, number, self.alive))

    async def start(self):
        self.process.start()
        while self.alive.value < self.number * 0.95:
            await asyncio.sleep(0.01)

    async def gone(self, within):
        began = time.monotonic()
        while self.alive.value and time.monotonic() - began < within:
            await asyncio.sleep(0.05)
        left = self.alive.value
        self.process.kill()
        self.process.join()
        return left


async def stocked(address, levels):
    reader, writer = await asyncio.open_connection(*address)
    names = ["S%d" % number for number in range(CONNECTIONS)] + [f"L{number:06}" for number in range(levels)]
    for at in range(0, len(names), 5_000):
        lines = "".join(f'{{"sku":"{name}","on_hand":100000}}\n' for name in names[at : at + 5_000]).encode()
        writer.write(
            b"POST /v1/import HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n%b"
            % (len(lines), lines)
        )
        assert await answer(reader) == 200
    writer.close()


async def measure(address, pid, kind, number, rounds, seconds):
    ratios, peaks, lasted, alone99, beside99, left_over = [], [], [], [], [], 0
    at_rest = rss_mib(pid)
    for _ in range(rounds):
        alone = await ordinary(address, seconds)
        slow = Slow(address, kind, number)
        began = time.monotonic()
        await slow.start()
        beside = asyncio.create_task(ordinary(address, seconds))
        peak = at_rest
        while not beside.done():
            peak = max(peak, rss_mib(pid))
            await asyncio.sleep(0.1)
        beside = beside.result()
        left = await slow.gone(60)
        lasted.append(time.monotonic() - began)
        left_over += left
        peaks.append(peak)
        alone99.append(percentile(alone, 0.99))
        beside99.append(percentile(beside, 0.99))
        ratios.append(beside99[-1] / alone99[-1])
        print(
            f"  {kind}: p50 {percentile(alone, 0.5):.2f} -> {percentile(beside, 0.5):.2f} ms, p99 {alone99[-1]:.2f} -> {beside99[-1]:.2f} ms",
            flush=True,
        )
    print(
        f"{kind}: {number} slow clients: p99 {statistics.median(alone99):.2f} -> {statistics.median(beside99):.2f} ms, ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}); memory {at_rest:.1f} -> {max(peaks):.1f} MiB at most, {rss_mib(pid):.1f} after; "
        f"all gone {statistics.median(lasted):.1f} s after the first came, left over {left_over}",
        flush=True,
    )


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", default="target/release/inventory")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=4)
    arguments.add_argument("--levels", type=int, default=20_000)
    arguments.add_argument("--kinds", default="heads,bodies,exports,pages")
    args = arguments.parse_args()
    with tempfile.TemporaryDirectory() as data:
        command = [args.binary, "serve", "--listen", "127.0.0.1:0", "--data-dir", data, "--max-connections", "4000"]
        command += ["--max-connections-per-address", "4000", "--write-timeout", "10s", "--idle-timeout", "15s"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            host, port = re.search(r"http://([^:]+):(\d+)", server.stdout.readline()).groups()
            address = (host, int(port))
            asyncio.run(stocked(address, args.levels))
            for kind in args.kinds.split(","):
                number = 500 if kind in ("exports", "pages") else 2_000
                asyncio.run(measure(address, server.pid, kind, number, args.rounds, args.seconds))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


if __name__ == "__main__":
    sys.exit(main())
