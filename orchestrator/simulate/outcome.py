"""What became of a training on a trace, under one strategy."""

from dataclasses import dataclass, field

from orchestrator.simulate.measured import Measured
from orchestrator.simulate.speed import Speed


@dataclass(frozen=True, slots=True)
class Point:
    """Where a training stood at one time."""

    at_s: float
    world_size: int
    """From here on; 0 where nobody trains."""
    steps: float
    useful_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One strategy's figures. A step that was done more than once counts once."""

    strategy: str
    steps: int
    wall_s: float
    """From the first step's start to the trace's end."""
    goodput: float
    """Time in steps that count, over ``wall_s``."""
    standstill_s: float
    """Time in which nobody computed."""
    steps_replayed: int
    lost_node_s: float
    """Computed and thrown away, over all nodes."""
    joins: int
    losses: int
    points: tuple[Point, ...]


@dataclass
class Progress:
    """Steps done so far, and what would be left of them if all workers were lost now.

    Args:
        measured: Checkpoints' interval and time.
        speed: Seconds of steps.
    """

    measured: Measured
    speed: Speed
    steps: int = 0
    useful_s: float = 0.0
    computed_s: float = 0.0
    """Steps that count and those that were replayed."""
    replayed: int = 0
    lost_node_s: float = 0.0
    first_s: float | None = None
    points: list[Point] = field(default_factory=list)
    _saves: list[tuple[float, int, float]] = field(default_factory=list)

    def count(self, number: int, world_size: int, *, from_s: float) -> None:
        """Steps that nothing disturbs, one after another."""
        step_s, round_s = self.speed.step_s(world_size), self.speed.round_s(world_size)
        every = self.measured.checkpoint_every_steps
        last = (self.steps + number) // every * every
        # The one before as well: the last may not hold yet when it is wanted.
        for step in (last - every, last):
            if step > self.steps:
                done = step - self.steps
                self.save(from_s + done * step_s, step, self.useful_s + done * round_s)
        self._add(number, number * round_s, number * step_s)

    def count_disturbed(self, world_size: int, *, ended_s: float) -> None:
        """One step in which somebody was lost."""
        useful_s = self.speed.round_s(world_size) * self.measured.disturbed_share
        self._add(1, useful_s, self.speed.step_s(world_size))
        if self.steps % self.measured.checkpoint_every_steps == 0:
            self.save(ended_s, self.steps, self.useful_s)

    def save(self, at_s: float, steps: int, useful_s: float) -> None:
        """Begin to write a checkpoint."""
        self._saves = [*self._saves[-3:], (at_s + self.measured.checkpoint_s, steps, useful_s)]

    def roll_back(self, now_s: float, world_size: int) -> None:
        """Nobody is left who knows more than the newest checkpoint that holds."""
        holds = [(steps, useful) for at_s, steps, useful in self._saves if at_s <= now_s]
        steps, useful_s = max(holds, default=(0, 0.0))
        self.replayed += self.steps - steps
        self.lost_node_s += (self.useful_s - useful_s) * world_size
        self.steps, self.useful_s = steps, useful_s
        self._saves = [save for save in self._saves if save[1] <= steps]

    def mark(self, at_s: float, world_size: int, part: float = 0.0) -> None:
        """Remember where the training stands; ``part`` of a step is done beside whole ones."""
        useful_s = self.useful_s
        if world_size:
            useful_s += part * self.speed.round_s(world_size)
            if self.first_s is None:
                self.first_s = at_s
        self.points.append(Point(at_s, world_size, self.steps + part, useful_s))

    def outcome(self, strategy: str, *, end_s: float, joins: int, losses: int) -> Outcome:
        """Add up."""
        wall_s = 0.0 if self.first_s is None else max(0.0, end_s - self.first_s)
        return Outcome(
            strategy=strategy,
            steps=self.steps,
            wall_s=wall_s,
            goodput=self.useful_s / wall_s if wall_s > 0 else 0.0,
            standstill_s=max(0.0, wall_s - self.computed_s),
            steps_replayed=self.replayed,
            lost_node_s=self.lost_node_s,
            joins=joins,
            losses=losses,
            points=tuple(self.points),
        )

    def _add(self, number: int, useful_s: float, computed_s: float) -> None:
        self.steps += number
        self.useful_s += useful_s
        self.computed_s += computed_s
