#!/usr/bin/env python3
"""What a look back costs: GET /v1/stock/{sku}?at= at random moments over a long ledger, and what a writer loses meanwhile.

A real server on this machine, durable. MOVEMENTS changes are made of LEVELS levels, round robin, in independent batches of 10 000 lines. Then the level as it
was is asked for, of random levels after random movements, by one client with one connection; alone, and while a writer changes one level at a time.
Turns of SECONDS alternate: the writer alone, the writer while others look back. Printed are the percentiles of the looks, and the writer's rate in
both.

  benches/history.py [MOVEMENTS] [LEVELS] [ROUNDS] [SECONDS]     defaults: 10 000 000 movements, 10 000 levels, 5 rounds, 5 s

Needs Python 3.11 alone, and 2 GB of disk. SERVER names another binary than target/release/inventory, which is built first unless it is set; FOLDER where
the server keeps its stock meanwhile, another than target.
"""
import http.client
import json
import multiprocessing
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time

DEFAULTS = ["10000000", "10000", "5", "5"]
MOVEMENTS, LEVELS, ROUNDS, SECONDS = (int(value) for value in sys.argv[1:] + DEFAULTS[len(sys.argv) - 1:])
LINES = 10_000
SEED = 7
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def connect(address):
    return http.client.HTTPConnection(*address, timeout=60)


def ask(connection, method, path, body=None):
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def sku(at):
    return f"sku-{at:05}"


def fill(address):
    """All movements there are to be; the number of the last."""
    connection, made = connect(address), 0
    began = time.monotonic()
    stock = "\n".join(json.dumps({"sku": sku(at), "on_hand": 0}) for at in range(LEVELS))
    connection.request("POST", "/v1/import", stock, {"Content-Type": "application/x-ndjson"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read()
    while made < MOVEMENTS:
        lines = [{"sku": sku((made + line) % LEVELS), "delta": 1} for line in range(LINES)]
        body = json.dumps({"mode": "independent", "lines": lines, "reason": "received", "reference": f"note {made}"})
        status, text = ask(connection, "POST", "/v1/adjustments", body)
        assert status == 200 and json.loads(text)["refused"] == 0, text[:500]
        made += LINES
    print(f"{made} movements of {LEVELS} levels in {time.monotonic() - began:.0f} s", flush=True)
    return LEVELS + made


def look(address, last, seconds, told):
    """How long each look took, in milliseconds."""
    connection, chance, took = connect(address), random.Random(SEED), []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        at, level = chance.randrange(LEVELS, last + 1), chance.randrange(LEVELS)
        began = time.perf_counter()
        status, text = ask(connection, "GET", f"/v1/stock/{sku(level)}?at={at}")
        took.append(1000 * (time.perf_counter() - began))
        # First each was made, then they took turns; within a batch the ledger has the lines in an order of its own.
        turns, most = (at - LEVELS) // LINES * LINES // LEVELS, -(-(at - LEVELS) // LINES) * LINES // LEVELS
        assert status == 200 and turns <= json.loads(text)["on_hand"] <= most, (at, level, turns, most, text)
    told.put(took)


def write(address, seconds, told):
    """Changes a second."""
    connection, count = connect(address), 0
    ask(connection, "PUT", "/v1/stock/writer", '{"on_hand":0}')
    began = time.monotonic()
    while (took := time.monotonic() - began) < seconds:
        status, text = ask(connection, "POST", "/v1/stock/writer/adjust", '{"delta":1}')
        assert status == 200, text
        count += 1
    told.put(count / took)


def run(target, *arguments):
    queue = multiprocessing.Queue()
    process = multiprocessing.Process(target=target, args=(*arguments, queue), daemon=True)
    process.start()
    return lambda: (queue.get(timeout=120), process.join())[0]


def percentiles(took):
    took = sorted(took)
    return " ".join(f"p{share:g} {took[min(len(took) - 1, int(len(took) * share / 100))]:.2f} ms" for share in (50, 99, 99.9))


def main():
    binary = os.environ.get("SERVER")
    if not binary:
        subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "inventory"], cwd=ROOT, check=True)
        binary = os.path.join(ROOT, "target", "release", "inventory")
    with tempfile.TemporaryDirectory(dir=os.environ.get("FOLDER") or os.path.join(ROOT, "target")) as folder:
        server = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--data-dir", os.path.join(folder, "data"), "--log", "error"],
            stdout=subprocess.PIPE)
        try:
            host, port = server.stdout.readline().decode().strip().removeprefix("http://").rsplit(":", 1)
            address = (host, int(port))
            last = fill(address)
            took = run(look, address, last, SECONDS)()
            print(f"looks alone: {len(took) / SECONDS:.0f}/s, {percentiles(took)}", flush=True)
            ratios, all_took = [], []
            for at in range(ROUNDS):
                alone = run(write, address, SECONDS)()
                looks, writes = run(look, address, last, SECONDS), run(write, address, SECONDS)
                watched, took = writes(), looks()
                ratios.append(watched / alone)
                all_took += took
                print(f"writer alone {alone:.0f}/s, while {len(took) / SECONDS:.0f}/s look back {watched:.0f}/s", flush=True)
            print(f"looks beside a writer: {len(all_took)}, {percentiles(all_took)}")
            print(f"the writer keeps {statistics.median(ratios):.2f} of its rate ({min(ratios):.2f} to {max(ratios):.2f})")
        finally:
            server.kill()
            server.wait()


# Told to end, it ends its server, too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
main()
