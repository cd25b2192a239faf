"""One rank of an elastic training without Ray, put together in one place.

Everything of ours that the harness in ``ranks`` needs to know by its signature is here.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.distributed import TCPStore
from torchft.coordination import LighthouseServer

from orchestrator.cluster.quorum import CellPeers
from orchestrator.config.train import TrainConfig
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.plan.steps import Part
from orchestrator.storage import Store
from orchestrator.train.background import BackgroundCheckpoints
from orchestrator.train.loop import Loop, Membership
from orchestrator.train.rounds import Terms
from orchestrator.train.state import Replica
from tests.bench.synthetic import Batches, Rank, Spent, Synthetic, Timed


def start_lighthouse(min_workers: int) -> tuple[Any, str]:
    """A lighthouse on loopback, and its address; it is there as long as it is held."""
    server = LighthouseServer(
        bind="127.0.0.1:0",
        min_replicas=min_workers,
        join_timeout_ms=60_000,
        quorum_tick_ms=50,
        heartbeat_timeout_ms=500,
    )
    return server, f"http://127.0.0.1:{server.address().rsplit(':', 1)[1]}"


def make_peers(replica: Replica, rank: Rank, lighthouse: str) -> CellPeers:
    """The other cells."""
    # What Ray Train would have set; it has to outlive the manager.
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(store.port))
    peers = CellPeers(
        replica,
        cell=rank.rank,
        min_workers=rank.world_size,
        lighthouse=lighthouse,
        token="secret",
        watch=lambda *_: None,
    )
    peers.bench_store = store
    return peers


@dataclass
class Clerk:
    """``train.loop.Observer`` that notes when steps were done, and saves now and then."""

    rank: Rank
    checkpoints: BackgroundCheckpoints

    def record(self, kind: str, **fields: Any) -> None:
        if kind == "step":
            self.rank.step_done(int(fields["step"]))

    def empty_slots(self, part: Part, batch: MicroBatch) -> None:
        raise AssertionError(f"{part} {batch.address}")

    def step_done(self, replica: Replica, membership: Membership) -> None:
        step = replica.progress.step
        if membership.rank == 0 and step % self.rank.checkpoint_every_steps == 0:
            self.checkpoints.offer(step, replica.to_bytes())


def train_elastic(rank: Rank, lighthouse: str, folder: Path) -> Spent:
    """Train one rank to its end; seconds spent by part of a step."""
    spent = Spent()
    learner = Synthetic(rank)
    replica = Replica(learner.tensors, weight_decay=0.0)
    store = Store.open(str(folder / "elastic"))
    checkpoints = BackgroundCheckpoints(store, 2, lambda: None, lambda *_, **__: None)
    peers = make_peers(replica, rank, lighthouse)
    loop = Loop(
        replica,
        TrainConfig(learning_rate=1e-3),
        Terms(num_steps=rank.steps, eval_pieces=0, eval_every_steps=None),
        Timed(Batches(rank), spent),
        Timed(learner, spent),
        Timed(peers, spent),
        Timed(Clerk(rank, checkpoints), spent),
    )
    loop.run()
    peers.leave()
    checkpoints.close()
    return spent
