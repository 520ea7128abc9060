#!/usr/bin/env python3
"""What watching costs: the rate of one writer alone, with 100 who watch /v1/events, and with one who takes nothing; and memory per watcher.

A real server on this machine, durable. The writer is a process of its own with one connection, which sends its next request when the last is
answered: one change each (`adjust`), or a hundred lines that stand alone (`batch`). Watchers are another process, which reads and throws away. Turns
of SECONDS alternate: alone, watched, stopped (one watcher that never reads). Printed are the writer's changes a second of each turn, and the
medians of the ratios to the turn alone of the same round.

Memory: VmRSS of the server with MANY watchers less that without, divided by MANY, before any event and after the writer's turn.

  benches/watchers.py [ROUNDS] [SECONDS] [WATCHERS] [MANY]     defaults: 5 rounds, 4 s, 100 watchers, 1000 for memory

Needs Python 3.11 alone. SERVER names another binary than target/release/inventory, which is built first unless it is set; FOLDER where
the servers keep their stock meanwhile, another than target.
"""
import json
import multiprocessing
import os
import re
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS, SECONDS, WATCHERS, MANY = (int(value) for value in (sys.argv[1:] + ["5", "4", "100", "1000"][len(sys.argv) - 1:]))
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
LINES = {"adjust": 1, "batch": 100}


class Server:
    """A server, killed by its pid at the end."""

    def __init__(self, binary):
        self.folder = tempfile.TemporaryDirectory(dir=os.environ.get("FOLDER") or os.path.join(ROOT, "target"))
        self.process = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--data-dir", os.path.join(self.folder.name, "data"), "--log", "error"],
            stdout=subprocess.PIPE)
        host, port = self.process.stdout.readline().decode().strip().removeprefix("http://").rsplit(":", 1)
        self.address = (host, int(port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.folder.cleanup()

    def memory(self):
        """Bytes that are resident."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return 1024 * int(re.search(r"^VmRSS:\s+(\d+)", status.read(), re.MULTILINE).group(1))


def connect(address):
    connection = socket.create_connection(address)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def answer(connection):
    """Reads one answer: its status."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, body = received.split(b"\r\n\r\n", 1)
    left = int(re.search(rb"content-length: (\d+)", head).group(1)) - len(body)
    while left > 0:
        left -= len(connection.recv(1 << 20))
    return int(head[9:12])


def request(method, path, body):
    body = json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def write(address, how, seconds, told):
    """Changes a second."""
    connection = connect(address)
    connection.sendall(request("PUT", "/v1/stock/A", {"on_hand": 0}))
    answer(connection)
    bytes = request("POST", "/v1/stock/A/adjust", {"delta": 1})
    if how == "batch":
        lines = [{"sku": "A", "delta": 1}] * LINES[how]
        bytes = request("POST", "/v1/adjustments", {"mode": "independent", "lines": lines})
    began, count = time.monotonic(), 0
    while (took := time.monotonic() - began) < seconds:
        connection.sendall(bytes)
        assert answer(connection) == 200
        count += LINES[how]
    told.put(count / took)


def watch(address, count, ready, reads):
    """Watches until it is killed, and throws away what it is told; or reads nothing."""
    selector = selectors.DefaultSelector()
    connections = []
    for _ in range(count):
        connection = connect(address)
        connection.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        told = b""
        while b"retry:" not in told:
            told += connection.recv(65536)
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ)
        connections.append(connection)
    ready.put(count)
    buffer = bytearray(1 << 20)
    while reads:
        for key, _ in selector.select():
            try:
                key.fileobj.recv_into(buffer)
            except BlockingIOError:
                pass
    signal.pause()


def in_background(target, *arguments):
    process = multiprocessing.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def turn(server, how, watchers, reads):
    """The writer's changes a second while so many watch."""
    watching, queue = None, multiprocessing.Queue()
    if watchers:
        watching = in_background(watch, server.address, watchers, queue, reads)
        queue.get(timeout=60)
    writer = in_background(write, server.address, how, SECONDS, queue)
    rate = queue.get(timeout=60 + SECONDS)
    writer.join()
    if watching:
        watching.kill()
        watching.join()
    return rate


def main():
    binary = os.environ.get("SERVER")
    if not binary:
        subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "inventory"], cwd=ROOT, check=True)
        binary = os.path.join(ROOT, "target", "release", "inventory")
    turns = {"alone": (0, True), "watched": (WATCHERS, True), "stopped": (1, False)}
    for how in LINES:
        ratios = {name: [] for name in turns}
        with Server(binary) as server:
            turn(server, how, 0, True)
            for at in range(ROUNDS):
                names = list(turns)[at % 3:] + list(turns)[:at % 3]
                rates = {name: turn(server, how, *turns[name]) for name in names}
                print(f"{how:8}", *(f"{name} {rates[name]:9.0f}/s" for name in turns), flush=True)
                for name in turns:
                    ratios[name].append(rates[name] / rates["alone"])
        for name in ["watched", "stopped"]:
            low, high = min(ratios[name]), max(ratios[name])
            print(f"{how:8} {name}: {statistics.median(ratios[name]):.2f} of the rate alone ({low:.2f} to {high:.2f})")
    with Server(binary) as server:
        queue = multiprocessing.Queue()
        turn(server, "adjust", 0, True)
        before = server.memory()
        watching = in_background(watch, server.address, MANY, queue, True)
        queue.get(timeout=60)
        idle = server.memory()
        turn(server, "batch", 0, True)
        print(f"memory: {(idle - before) / MANY / 1024:.1f} KiB per watcher of {MANY} before any event, "
              f"{(server.memory() - before) / MANY / 1024:.1f} KiB after {SECONDS} s of events, the ring of 4 MiB included")
        watching.kill()


# Told to end, it ends its server, too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
main()
