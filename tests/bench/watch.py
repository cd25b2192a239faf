"""What a watchman costs its machine, and what the head pays to look at the notices.

    .venv/bin/python -m tests.bench.watch

The watchman looks every second, as on Azure; the cluster has a head and two nodes.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.cluster.internals import (
    alive_nodes,
    connect_gcs,
    dead_nodes,
    draining_nodes,
    is_alive,
    leave_note,
    notes,
)
from orchestrator.cluster.local import start_cluster
from tests.metadata.clouds import FakeAzure
from tests.metadata.server import Service

PROGRAM = "from orchestrator.cli import main; main()"
NUM_CALLS = 1000
WATCHED_S = 30.0


def milliseconds(call: Callable[[], Any]) -> tuple[float, float]:
    """Median and 99th percentile."""
    took_ms = []
    for _ in range(NUM_CALLS):
        begun_s = time.perf_counter()
        call()
        took_ms.append((time.perf_counter() - begun_s) * 1e3)
    return statistics.median(took_ms), statistics.quantiles(took_ms, n=100)[98]


def watchman(address: str, node_id: str) -> dict[str, str]:
    """Start one on the busiest schedule there is, Azure's, and see what it takes."""
    with Service(FakeAzure()) as service:
        options = ("--address", address, "--node-id", node_id, "--metadata-url", service.url)
        begun_s = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "watch", "--cloud", "azure", *options],
            stdout=subprocess.DEVNULL,
        )
        try:
            while not service.asked:
                time.sleep(0.01)
            started_s = time.perf_counter() - begun_s
            before_s = cpu_s(process.pid)
            time.sleep(WATCHED_S)
            share = (cpu_s(process.pid) - before_s) / WATCHED_S
            status = Path(f"/proc/{process.pid}/status").read_text()
        finally:
            process.kill()
            process.wait()
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return {
        "start to first look, s": f"{started_s:.2f}",
        "resident, MB": f"{int(lines['VmRSS'].split()[0]) / 1024:.0f}",
        "of which its own, MB": f"{int(lines['RssAnon'].split()[0]) / 1024:.0f}",
        "threads": lines["Threads"].strip(),
        "share of a core": f"{share:.2%}",
    }


def cpu_s(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / 100


def main() -> None:
    with start_cluster(2, cpus=1) as cluster:
        client = connect_gcs(cluster.address)
        (node_id, *_) = (one.node_id for one in alive_nodes(client).values() if not one.is_head)
        for number in range(100):
            leave_note(client, "rebalance", f"{number:056x}", {"id": "x", "wall_s": 0.0})
        calls: dict[str, Callable[[], Any]] = {
            "draining_nodes": lambda: draining_nodes(client),
            "dead_nodes": lambda: dead_nodes(client),
            "alive_nodes": lambda: alive_nodes(client),
            "is_alive": lambda: is_alive(client, node_id),
            "notes, of 100 nodes": lambda: notes(client),
        }
        table = Table("question to the GCS", "median, ms", "99th percentile, ms")
        for name, call in calls.items():
            median, worst = milliseconds(call)
            table.add_row(name, f"{median:.2f}", f"{worst:.2f}")
        Console().print(table)
        table = Table("a watchman", "")
        for name, figure in watchman(cluster.address, node_id).items():
            table.add_row(name, figure)
        Console().print(table)


if __name__ == "__main__":
    main()
