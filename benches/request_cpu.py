#!/usr/bin/env python3
"""What one adjustment costs the server in CPU time, user and system, of several builds or ways to start it.

    cargo build --release --locked && benches/request_cpu.py [--rounds N] COMMAND COMMAND...
    benches/request_cpu.py /tmp/inventory-before target/release/inventory "target/release/inventory --access-log-rate 1000000"

Each COMMAND is a binary, and arguments of its `serve`. In each round each of them serves REQUESTS durable adjustments over CONNECTIONS connections, in an
order that alternates; a fresh server and a fresh folder each time. The server's CPU time is read from /proc/PID/task/*/schedstat, in nanoseconds. Printed are
the medians, and the median, the least and the most of the ratios to the first COMMAND, each of one round. Any answer but 200 ends it.
"""

import argparse
import os
import re
import selectors
import shlex
import signal
import socket
import statistics
import subprocess
import tempfile

CONNECTIONS, REQUESTS, WARM_UP = 16, 20_000, 3_000


def request(method, target, body):
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost:8080\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


ADJUST = request("POST", "/v1/stock/A/adjust", '{"delta":1}')


def cpu_us(pid):
    tasks = f"/proc/{pid}/task"
    return sum(int(open(f"{tasks}/{task}/schedstat").read().split()[0]) for task in os.listdir(tasks)) / 1e3


def load(address, requests):
    selector, done = selectors.DefaultSelector(), 0
    for _ in range(CONNECTIONS):
        client = socket.create_connection(address)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(client, selectors.EVENT_READ)
        client.send(ADJUST)
    while done < requests:
        for key, _ in selector.select():
            answer = key.fileobj.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"}"), answer
            done += 1
            key.fileobj.send(ADJUST)
    for key in list(selector.get_map().values()):
        key.fileobj.close()


def cost(command):
    binary, *arguments = shlex.split(command)
    with tempfile.TemporaryDirectory() as folder:
        serve = [binary, "serve", "--listen", "127.0.0.1:0", "--data-dir", os.path.join(folder, "data"), *arguments]
        server = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            host, port = re.search(r"http://([^:]+):(\d+)", server.stdout.readline()).groups()
            address = (host, int(port))
            with socket.create_connection(address) as client:
                client.sendall(request("PUT", "/v1/stock/A", '{"on_hand":1000}'))
                assert client.recv(65536).startswith(b"HTTP/1.1 201 ")
            load(address, WARM_UP)
            before = cpu_us(server.pid)
            load(address, REQUESTS)
            return (cpu_us(server.pid) - before) / REQUESTS
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("commands", nargs="+", metavar="COMMAND")
    args = arguments.parse_args()
    costs = {command: [] for command in args.commands}
    for turn in range(args.rounds):
        for command in args.commands[:: 1 if turn % 2 == 0 else -1]:
            costs[command].append(cost(command))
        print("  ".join(f"{costs[command][-1]:.2f}" for command in args.commands), flush=True)
    first = costs[args.commands[0]]
    for command in args.commands:
        ratios = [one / other for one, other in zip(costs[command], first)]
        print(
            f"{statistics.median(costs[command]):.2f} us, {statistics.median(ratios):.3f} of the first "
            f"({min(ratios):.3f} to {max(ratios):.3f}): {command}"
        )


if __name__ == "__main__":
    main()
