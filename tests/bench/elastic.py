"""One rank of an elastic training without Ray, put together in one place.

Everything of ours that the harness in ``ranks`` needs to know by its signature is here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.cluster.lighthouse import (
    HEARTBEAT_TIMEOUT_MS,
    JOIN_WAIT_MS,
    TICK_MS,
    native,
)
from orchestrator.cluster.quorum import CellPeers, CellSeat
from orchestrator.config.train import TrainConfig
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.plan.steps import Part
from orchestrator.storage import Store
from orchestrator.train.background import BackgroundCheckpoints
from orchestrator.train.contracts import Departures, Membership, Wishes
from orchestrator.train.crew import Alone, Source
from orchestrator.train.loop import Loop
from orchestrator.train.rounds import Terms
from orchestrator.train.state import Replica
from tests.bench.synthetic import Batches, Rank, Spent, Synthetic, Timed


def start_lighthouse(min_workers: int) -> tuple[Any, str]:
    """A lighthouse on loopback, and its address; it is there as long as it is held."""
    server = native().LighthouseServer(
        bind="127.0.0.1:0",
        min_replicas=min_workers,
        join_timeout_ms=JOIN_WAIT_MS,
        quorum_tick_ms=TICK_MS,
        heartbeat_timeout_ms=HEARTBEAT_TIMEOUT_MS,
    )
    return server, f"http://127.0.0.1:{server.address().rsplit(':', 1)[1]}"


def make_peers(replica: Replica, rank: Rank, lighthouse: str) -> CellPeers:
    """The other cells."""
    seat = CellSeat(rank.rank, "127.0.0.1", lighthouse, "secret", rank.world_size)
    return CellPeers(replica, seat, watch=lambda *_: None)


@dataclass
class Clerk:
    """``train.contracts.Observer`` that notes when steps were done, and saves now and then."""

    rank: Rank
    checkpoints: BackgroundCheckpoints

    def record(self, kind: str, **fields: Any) -> None:
        if kind == "step":
            self.rank.step_done(int(fields["step"]))

    def empty_slots(self, part: Part, batch: MicroBatch) -> None:
        raise AssertionError(f"{part} {batch.address}")

    def wishes(self) -> Wishes:
        return Wishes()

    def is_regrouping(self) -> bool:
        return False

    def round_done(
        self, replica: Replica, membership: Membership, departures: Departures
    ) -> None:
        del departures
        step = replica.progress.step
        if membership.rank == 0 and step % self.rank.checkpoint_every_steps == 0:
            self.checkpoints.offer(step, replica.to_buffer(self.checkpoints.spare()))


def train_elastic(rank: Rank, lighthouse: str, folder: Path) -> Spent:
    """Train one rank to its end; seconds spent by part of a step."""
    spent = Spent()
    learner = Synthetic(rank)
    replica = Replica(learner.tensors, weight_decay=0.0)
    store = Store.open(str(folder / "elastic"))
    checkpoints = BackgroundCheckpoints(store, 2, lambda: None, lambda *_, **__: None)
    peers = make_peers(replica, rank, lighthouse)
    batches, clerk = Timed(Batches(rank), spent), Timed(Clerk(rank, checkpoints), spent)
    loop = Loop(
        replica,
        TrainConfig(learning_rate=1e-3),
        Terms(num_steps=rank.steps, eval_pieces=0, eval_every_steps=None),
        batches,
        Alone(replica, Timed(learner, spent), Source(batches, clerk)),
        Timed(peers, spent),
        clerk,
    )
    loop.run()
    peers.leave()
    checkpoints.close()
    return spent
