#!/usr/bin/env python3
"""Replicas over one PostgreSQL with a synchronous standby, beside a shop that does what people do instead.

    python3 benches/replicas.py [SECONDS [ROUNDS]]

Starts a primary and a standby of its own, and over them 1, 2 and 5 replicas of `inventory serve --store`, of a shop with one transaction and
`SELECT ... FOR UPDATE` for each request (`locked`), of one that writes a ledger and idempotency keys in that transaction as well (`recorded`), and of one with a single
`UPDATE ... WHERE` (`atomic`). Each is asked with 256 requests in flight, for
one level, for levels by Zipf's law with exponent 2, and for all alike; one after the other, so that what disturbs the machine disturbs all. `locked` and
`atomic` write no ledger, no versions and no keys: they do less for each request. Each request to `inventory` has a key. `by sku` is `inventory` where whoever asks for a sku asks the replica of that, as behind
deploy/nginx-replicas.conf; otherwise each client asks one of its own, and every level is asked for at all replicas.

Everything is on this machine, the load too. Needs target/release/{inventory,loadtest,shop-postgres}, and PostgreSQL's programs.
"""

import json
import pwd
import os
import signal
import subprocess
import sys
import tempfile
import time
from glob import glob
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target" / "release"
SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 4
IN_FLIGHT = 256
REPLICAS = [1, 2, 5]
LOADS = {"one sku": ["--skus", "1"], "zipf 2.0": ["--skus", "1000", "--keys", "zipf:2"], "uniform": ["--skus", "1000", "--keys", "uniform"]}
KINDS = ["inventory", "by sku", "locked", "recorded", "atomic"]


def programs():
    found = sorted(glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
    return Path(found[-1]) if found else Path("/usr/bin")


class Database:
    """A primary and a standby that each commit waits for, in a folder of their own."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="inventory-bench-")
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self.user:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        self.servers = []
        self.run("initdb", "-D", f"{self.folder}/a", "-U", "postgres", "--auth=trust", "--locale=C", "--encoding=UTF8", "--no-sync")
        self.serve("a", "5432", "-c", "synchronous_standby_names=b")
        self.run("pg_basebackup", "-h", self.folder, "-p", "5432", "-U", "postgres", "-D", f"{self.folder}/b", "-R", "-X", "stream", "-c", "fast")
        conf = Path(self.folder, "b", "postgresql.auto.conf")
        conf.write_text(conf.read_text().replace("primary_conninfo = '", "primary_conninfo = 'application_name=b "))
        self.serve("b", "5433")
        while self.ask("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") != "1":
            time.sleep(0.05)

    def as_user(self):
        if self.user:
            os.setgid(self.user.pw_gid)
            os.setuid(self.user.pw_uid)

    def run(self, program, *arguments):
        command = [str(programs() / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, preexec_fn=self.as_user, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{program}: {done.stderr}")
        return done.stdout.strip()

    def serve(self, name, port, *settings):
        command = [str(programs() / "postgres"), "-D", f"{self.folder}/{name}", "-k", self.folder, "-p", port]
        command += ["-c", "listen_addresses=", "-c", "max_connections=200", "-c", "shared_buffers=256MB", *settings]
        log = open(Path(self.folder, f"{name}.log"), "w", encoding="utf-8")
        self.servers.append(subprocess.Popen(command, cwd=self.folder, preexec_fn=self.as_user, stdout=log, stderr=log))
        until = time.time() + 30
        while subprocess.run([str(programs() / "pg_isready"), "-q", "-h", self.folder, "-p", port], check=False).returncode != 0:
            if time.time() > until:
                sys.exit(f"no server {name}: see {self.folder}/{name}.log")
            time.sleep(0.05)

    def ask(self, query, database="postgres"):
        # Not waited for by a standby: what it asks is of this script.
        return self.run("psql", "-h", self.folder, "-p", "5432", "-U", "postgres", "-d", database, "-Atqc", query)

    def url(self, name):
        return f"postgresql:///{name}?host={self.folder}&port=5432&user=postgres"

    def end(self):
        for server in reversed(self.servers):
            server.send_signal(signal.SIGINT)
        for server in self.servers:
            server.wait(30)
        subprocess.run(["rm", "-rf", self.folder], check=False)


def replica(kind, url):
    if kind in ("inventory", "by sku"):
        command = [RELEASE / "inventory", "serve", "--listen", "127.0.0.1:0", "--store", url, "--log", "error", "--workers", "2"]
    else:
        command = [RELEASE / "shop-postgres", "--listen", "127.0.0.1:0", "--database", url, "--way", kind]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def measured(kind, urls, load, more):
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [RELEASE / "loadtest", "run", ",".join(urls), *LOADS[load], "--mix", "adjust=1", "--opening-stock", "1000000000"]
        command += ["--warmup", "1s", "--duration", f"{SECONDS}s", "--concurrency", str(IN_FLIGHT), "--timeout", "20s", "--ceiling", "none"]
        command += ["--client", "hyper", "--progress", "none", *more, "--out", f"json={file.name}"]
        if kind == "by sku":
            command += ["--route", "sku"]
        elif kind != "inventory":
            command += ["--target", ROOT / "loadtest" / "targets" / "postgres.toml"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        try:
            report = json.loads(Path(file.name).read_text(encoding="utf-8"))
        except ValueError:
            sys.exit(f"{kind} {load}: {done.stdout}{done.stderr}")
        return report


def main():
    database = Database()
    print(f"{'replicas':>8}  {'load':<9} {'shop':<10} {'req/s':>8} {'ratio':>6} {'failed':>7} {'deadlocks':>9}   p50 and p99 at half of it, ms", flush=True)
    try:
        for count in REPLICAS:
            for load in LOADS:
                measured_of = {}
                for kind in KINDS:
                    if kind == "by sku" and count == 1:
                        continue
                    name = f"{kind}_{count}_{load}".replace(" ", "_").replace(".", "_")
                    database.ask(f"CREATE DATABASE {name}")
                    replicas = [replica(kind, database.url(name)) for _ in range(count)]
                    time.sleep(1)
                    urls = [url for _, url in replicas]
                    if kind == "inventory" and count == 1:
                        # Requests to more than one address have keys, those to one have none: so it is asked by two names.
                        urls.append(urls[0].replace("127.0.0.1", "localhost"))
                    report = measured(kind, urls, load, [])
                    half = measured(kind, urls, load, ["--rate", str(max(1, int(report["throughput_per_s"] / 2)))])
                    deadlocks = database.ask("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()", name)
                    measured_of[kind] = (report, half, deadlocks)
                    for process, _ in replicas:
                        process.terminate()
                    for process, _ in replicas:
                        process.wait(30)
                locked = measured_of["locked"][0]["throughput_per_s"]
                for kind, (report, half, deadlocks) in measured_of.items():
                    latency = half["total"]["latency"]
                    wrong = "" if report["verdict"]["result"] == "consistent" else f"  {report['verdict']['result']}"
                    print(
                        f"{count:>8}  {load:<9} {kind:<10} {report['throughput_per_s']:>8.0f} {report['throughput_per_s'] / locked:>6.1f} "
                        f"{report['total']['failed'] + half['total']['failed']:>7} {deadlocks:>9}   "
                        f"{latency['p50_us'] / 1000:.1f} and {latency['p99_us'] / 1000:.1f}{wrong}",
                        flush=True,
                    )
    finally:
        database.end()


if __name__ == "__main__":
    main()
