"""When a driver that died is started again: a decision from numbers alone."""

from dataclasses import dataclass

PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Before each restart, as long as no step gets done in between; after the last, no more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """The newest step there was, and how many restarts have brought no newer one."""

    step: int = 0
    in_vain: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Restart:
    """Start the driver again, after a pause."""

    pause_s: float
    tally: Tally


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Too many drivers died without a single step in between."""


def after_fault(
    tally: Tally, step: int, pauses_s: tuple[float, ...] = PAUSES_S
) -> Restart | GiveUp:
    """Decide what follows a driver's death.

    Machines may be lost without limit, as long as the run gets on: a step that was done before
    and is done again after a restart does not count.

    Args:
        tally: What the last decision left; a new one at first.
        step: The run's newest finished step.
        pauses_s: As ``PAUSES_S``.
    """
    in_vain = 0 if step > tally.step else tally.in_vain
    if in_vain == len(pauses_s):
        return GiveUp()
    newest = Tally(step=max(step, tally.step), in_vain=in_vain + 1)
    return Restart(pause_s=pauses_s[in_vain], tally=newest)
