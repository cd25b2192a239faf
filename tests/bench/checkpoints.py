"""What one checkpoint a minute costs the training beside which it is written.

    .venv/bin/python -m tests.bench.checkpoints --millions 1 10 100

A replica of so many million trained parameters is saved with both moments of each, in float32.

* held: seconds that the loop's own thread spends on it, in ``to_buffer`` and ``offer``, from
  the second checkpoint on; "first" is what the first one takes, whose memory has to come first.
* written: seconds until it is durable; background CPU is what that takes of a core.
* slowed: seconds that a loop of one thread, all arithmetic, loses meanwhile. The server of the
  S3 lines runs on the same cores, and takes part of them as no server elsewhere would.
* share: held and slowed, of one minute. The goal is at most 5 %.
* CPU share: held and background CPU, of one minute of one core: what it would cost a training
  that has no other core, and all that a busy neighbour does not spoil.
* memory: how far the process grows beyond the replica and the state's own bytes.

Each line is the median of ``--rounds``; a neighbour on the machine spoils all else.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import Parameter

from orchestrator.storage import Store
from orchestrator.train.background import BackgroundCheckpoints
from orchestrator.train.state import Replica
from tests.stores.s3_server import credentials, s3_server

MINUTE_S = 60.0
WAIT_S = 600.0
WARM_S = 1.0
NUM_TENSORS = 20


@dataclass
class Figures:
    """One checkpoint."""

    held_s: float
    first_s: float
    written_s: float
    background_cpu_s: float
    slowed_s: float
    memory_mib: float

    @property
    def share(self) -> float:
        return (self.held_s + max(0.0, self.slowed_s)) / MINUTE_S

    @property
    def cpu_share(self) -> float:
        return (self.held_s + self.background_cpu_s) / MINUTE_S


def record(kind: str, **fields: Any) -> None:
    assert kind == "checkpoint", fields


def replica_of(millions: int) -> Replica:
    size = millions * 1_000_000 // NUM_TENSORS
    tensors = {f"layer.{n}": Parameter(torch.randn(size)) for n in range(NUM_TENSORS)}
    return Replica(tensors, weight_decay=0.0)


class Work:
    """A training loop as far as the processor can tell: one thread, all arithmetic."""

    def __init__(self) -> None:
        self._matrix = torch.randn(192, 192)

    def do(self) -> None:
        torch.tanh(self._matrix @ self._matrix)

    def seconds_each(self, for_s: float) -> float:
        begun_s, num_done = time.perf_counter(), 0
        while time.perf_counter() - begun_s < for_s:
            self.do()
            num_done += 1
        return (time.perf_counter() - begun_s) / num_done


def memory_mib(word: str) -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith(word))


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def measure(store: Store, replica: Replica, work: Work, step: int) -> Figures:
    begun_s = time.perf_counter()
    spare = replica.to_buffer()
    first_s = time.perf_counter() - begun_s
    checkpoints = BackgroundCheckpoints(store, 1, lambda: None, record)
    quiet_s = work.seconds_each(WARM_S)
    begun_s = time.perf_counter()
    state = replica.to_buffer(spare)
    forget_peak()
    before_mib, cpu_s, own_s = memory_mib("VmRSS"), time.process_time(), time.thread_time()
    offered_s = time.perf_counter()
    checkpoints.offer(step, state)
    held_s = time.perf_counter() - begun_s
    num_done = 0
    while checkpoints.newest_written != step:
        assert time.perf_counter() - offered_s < WAIT_S, "the store takes too long"
        work.do()
        num_done += 1
    written_s = time.perf_counter() - offered_s
    background_s = time.process_time() - cpu_s - (time.thread_time() - own_s)
    grown_mib = memory_mib("VmHWM") - before_mib
    quiet_s = (quiet_s + work.seconds_each(WARM_S)) / 2
    assert checkpoints.close()
    slowed_s = written_s - num_done * quiet_s
    return Figures(held_s, first_s, written_s, background_s, slowed_s, grown_mib)


def median(found: list[Figures]) -> Figures:
    return Figures(
        *(
            statistics.median(getattr(each, name) for each in found)
            for name in Figures.__dataclass_fields__
        )
    )


def report(stores: dict[str, Store], millions: list[int], rounds: int) -> None:
    head = ("million", "store", "MiB", "held s", "first s", "written s", "bg CPU s")
    print(
        "".join(
            f"{word:>11}" for word in (*head, "slowed s", "share", "CPU share", "memory MiB")
        )
    )
    work = Work()
    for size in millions:
        replica = replica_of(size)
        for name, store in stores.items():
            rows = [measure(store, replica, work, n + 1) for n in range(rounds)]
            row = median(rows)
            figures = (row.held_s, row.first_s, row.written_s, row.background_cpu_s)
            times = "".join(f"{figure:>11.3f}" for figure in (*figures, row.slowed_s))
            mib = size * 12e6 / (1 << 20)
            ends = f"{row.share:>11.2%}{row.cpu_share:>11.2%}{row.memory_mib:>11.0f}"
            print(f"{size:>11}{name:>11}{mib:>11.0f}{times}{ends}", flush=True)
            store.delete("checkpoints")


@contextmanager
def stores(folder: Path) -> Iterator[dict[str, Store]]:
    with s3_server(folder) as server:
        os.environ.update(credentials(server.url))
        s3 = Store.open("s3://checkpoints/bench")
        s3.place.filesystem.mkdir("checkpoints")  # type: ignore[attr-defined]
        yield {"disk": Store.open(str(folder / "run")), "s3": s3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--stores", nargs="+", default=["disk", "s3"])
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, stores(Path(folder)) as found:
        chosen = {name: found[name] for name in asked.stores}
        report(chosen, asked.millions, asked.rounds)


if __name__ == "__main__":
    main()
