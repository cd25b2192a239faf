"""Follow what a cloud announces: every notice once, and trouble with the service outlived."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from orchestrator.spot.metadata import NoAnswerError
from orchestrator.spot.notice import Notice

LONGEST_PAUSE_S = 10.0
"""A third of the shortest notice: trouble with the service must not outlast one."""


class Source(Protocol):
    """Asks one cloud. Must not wait for the next look, try again, or keep what it has told."""

    def look(self) -> tuple[Notice, ...]:
        """All that is announced for this machine now, or ``NoAnswerError``."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """What one look brought."""

    news: tuple[Notice, ...]
    pause_s: float
    """How long to wait before the next."""


def follow(source: Source, *, every_s: float, say: Callable[[str], None]) -> Iterator[Look]:
    """Look again whenever asked for the next, without end.

    Args:
        source: Where to look.
        every_s: The pause between looks while all is well.
        say: Told of trouble when it begins, changes and ends.
    """
    known: dict[str, Notice] = {}
    trouble, faults = "", 0
    while True:
        try:
            announced = source.look()
        except NoAnswerError as error:
            if str(error) != trouble:
                say(f"the metadata service cannot be used: {error}; trying again")
            trouble, faults = str(error), faults + 1
            yield Look((), pause_s(every_s, faults))
            continue
        if faults:
            say(f"the metadata service answers again, after {faults} failed looks")
        trouble, faults = "", 0
        known, news = compare(known, announced)
        yield Look(news, every_s)


def pause_s(every_s: float, faults: int) -> float:
    """The pause after so many failed looks in a row: doubled with each, up to a bound."""
    longest_s = max(every_s, LONGEST_PAUSE_S)
    # 2 ** 6 of the shortest pause in use is beyond the bound.
    return min(every_s * 2.0 ** min(faults, 6), longest_s)


def compare(
    known: Mapping[str, Notice], announced: tuple[Notice, ...]
) -> tuple[dict[str, Notice], tuple[Notice, ...]]:
    """Tell what is new from what has been told.

    An interruption that is no longer announced is cancelled, unless another is: then its time
    has been changed. A recommendation is remembered for good, for nothing follows from its end.

    Args:
        known: What has been told and still holds, by id.
        announced: What the last look found.

    Returns:
        What has been told now, and what is new in it.
    """
    now = {notice.id: notice for notice in announced}
    lasting = {
        name: notice
        for name, notice in known.items()
        if name in now or notice.kind == "rebalance"
    }
    news = [notice for name, notice in now.items() if name not in known]
    if not any(notice.kind == "interruption" for notice in announced):
        news += [notice.cancelled() for name, notice in known.items() if name not in lasting]
    # What was told first holds: where no deadline is given, it counts from the first look.
    return now | lasting, tuple(news)
