"""One process of the plain loop, for ``overhead``: all it trains on is in memory beforehand."""

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist

from tests.bench.plain import Plain
from tests.bench.small_job import read_rendered

WORD_S = 120
"""The longest that one process waits for the other."""


def main(told: str) -> None:
    """Train, and print when each step was done."""
    orders = json.loads(told)
    rank, world_size = orders["rank"], orders["world_size"]
    store = dist.TCPStore("127.0.0.1", orders["port"], world_size, is_master=rank == 0)
    dist.init_process_group(
        "gloo",
        store=store,
        rank=rank,
        world_size=world_size,
        timeout=timedelta(seconds=WORD_S),
    )
    plain = Plain(orders["job_json"], rank, world_size)
    steps = list(read_rendered(Path(orders["rendered"])))
    times_s = []
    for batches in steps:
        plain.train_step(batches)
        if rank == 0 and plain.step % orders["checkpoint_every_steps"] == 0:
            plain.save(Path(orders["checkpoint"]))
        times_s.append(time.time())
    dist.destroy_process_group()
    Path(orders["out"]).write_text(json.dumps(times_s))
    sys.stdout.flush()
