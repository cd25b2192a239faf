"""Event logs of runs that never were, second by second, by other means than the simulator."""

from dataclasses import dataclass, field

import numpy as np

from orchestrator.tracking.events import Event, make_event


@dataclass
class MadeRun:
    """A run that keeps its own time; whoever makes it says what happens between steps."""

    micro_s: float = 0.5
    num_micro: int = 12
    between_s: float = 0.05
    wall_s: float = 1000.0
    step: int = 0
    cells: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def say(self, kind: str, **fields: str | float) -> None:
        world_size = len(self.cells)
        self.events.append(
            make_event(kind, wall_s=self.wall_s, **{"world_size": world_size, **fields})
        )

    def busy_s(self) -> float:
        exact_s = -(-self.num_micro // len(self.cells)) * self.micro_s
        return exact_s * float(self.rng.normal(1, 0.05))

    def join(self, *cells: int, cost_s: float = 0.2) -> None:
        self.cells += cells
        for cell in cells:
            self.say("joined", cell=cell, step=self.step, node=f"n{cell}", load_s=8.0)
        self.wall_s += cost_s

    def leave(self, cell: int) -> None:
        self.cells.remove(cell)
        self.say("lost", cell=cell, step=self.step, reason="notice")

    def do_steps(self, number: int) -> None:
        for _ in range(number):
            busy_s = self.busy_s()
            self.wall_s += busy_s
            self.finish_step(busy_s)

    def finish_step(self, round_s: float) -> None:
        self.step += 1
        self.say(
            "step",
            step=self.step,
            epoch=0,
            loss=1.0,
            samples=16,
            round_s=round_s,
            num_micro=self.num_micro,
        )
        self.wall_s += self.between_s
        if self.step % 20 == 0:
            path = f"checkpoints/{self.step}"
            self.say("checkpoint", step=self.step, path=path, seconds=0.5)

    def lose_in_a_step(self, cell: int, *, pause_s: float = 0.15) -> None:
        """At a random time of a step: a heartbeat of half a second, then its share anew."""
        started_s, busy_s = self.wall_s, self.busy_s()
        died_s = started_s + float(self.rng.uniform(0, busy_s))
        hand = -(-self.num_micro // len(self.cells))
        self.wall_s = max(started_s + busy_s, died_s + 0.5) + pause_s
        self.cells.remove(cell)
        self.say("lost", cell=cell, step=self.step, reason="node")
        self.wall_s += -(-hand // len(self.cells)) * self.micro_s
        self.finish_step(busy_s)

    def lose_all(self, *, away_s: float) -> None:
        """Everybody at once: after a while one worker is back, at the last checkpoint."""
        self.wall_s += self.busy_s() / 2 + away_s
        lost, self.cells = self.cells, [0]
        self.step = self.step // 20 * 20
        self.say("resumed", step=self.step, after_round=self.step)
        for cell in lost:
            self.say("lost", cell=cell, step=self.step)
        self.cells = []
        self.join(0, cost_s=1.5)


def a_chaotic_run(num_faults: int, seed: int, *, all_lost: bool = False) -> list[Event]:
    """Steps with faults in between: a loss and a return each time, or a notice."""
    run = MadeRun(rng=np.random.default_rng(seed))
    run.say("started")
    run.join(0, 1, 2, cost_s=4.0)
    run.do_steps(10)
    for fault in range(num_faults):
        cell = int(run.rng.choice(run.cells))
        if fault % 3 == 2:
            run.leave(cell)
        else:
            run.lose_in_a_step(cell)
        run.do_steps(int(run.rng.integers(2, 8)))
        run.join(cell)
        run.do_steps(int(run.rng.integers(2, 8)))
        if all_lost and fault == num_faults // 2:
            run.lose_all(away_s=20.0)
            run.do_steps(3)
            run.join(1, 2)
    run.say("finished")
    return run.events
