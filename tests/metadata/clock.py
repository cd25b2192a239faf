"""A clock that stands still until somebody sleeps."""

from dataclasses import dataclass, field

from orchestrator.spot.clock import Clock

START_S = 1_474_309_727.0
"""Mon, 19 Sep 2016 18:28:47 GMT: a minute before the event in Azure's documentation."""


@dataclass
class FakeTime:
    now_s: float = START_S
    slept_s: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now_s, self.sleep)
