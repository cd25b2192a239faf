"""From what a disturbed training wrote to the seconds that it stood still.

All times are in seconds after the fault began. None: there was nothing of the kind.
"""

import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Lines = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Newcomer:
    """The first worker that came after the fault: when it was how far."""

    up: float | None
    loaded: float | None
    joined: float | None
    step: float | None
    held_up: float | None
    """By how much its coming lengthened a step of the others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """One fault in one training. The phases are durations, one after the other."""

    detect: float | None = None
    teardown: float | None = None
    regroup: float | None = None
    restore: float | None = None
    batch: float | None = None
    step: float | None = None
    standstill: float | None = None
    """From the last step before the fault to the first that nobody had done, less a step."""
    from_capacity: float | None = None
    """The end of that, after there was room for a newcomer."""
    gap: float | None = None
    """The longest time between two steps from the fault on, less a step."""
    replayed: int = 0
    survivors: str = ""
    newcomer: Newcomer | None = None
    step_s: float | None = None
    """A step before the fault: the median."""


def read_ours(found: dict[str, Any]) -> Figures:
    """Figures of a training of ours, from its events."""
    began_s = found["fault"]["began_s"]
    events: Lines = found["events"]
    steps = [event for event in events if event["kind"] == "step"]
    after = [event for event in events if event["wall_s"] > began_s]
    lost = _first(after, "kind", ("lost", "left"))
    quorum = _first(
        [e for e in after if lost is None or e["wall_s"] >= lost], "kind", ("quorum",)
    )
    resumed = _first(after, "kind", ("resumed",))
    newcomer = _newcomer(found, steps)
    common = _standstill(steps, found)
    next_step = _first(
        [e for e in after if quorum and e["wall_s"] >= quorum], "kind", ("step",)
    )
    if resumed is None:
        return Figures(
            **common,
            detect=_less(lost, began_s),
            regroup=_less(quorum, lost) if lost else None,
            step=_less(next_step, quorum),
            survivors="stay up" if common["step_s"] else "",
            newcomer=newcomer,
        )
    return Figures(
        **common,
        regroup=newcomer.up if newcomer else None,
        restore=_less(newcomer.joined, newcomer.up) if newcomer else None,
        step=_less(next_step, quorum),
        survivors="none",
        newcomer=newcomer,
    )


def read_stock(found: dict[str, Any]) -> Figures:
    """Figures of a stock training, from what its workers and its watcher wrote."""
    fault = found["fault"]
    began_s, old = fault["began_s"], set(fault["workers"])
    lines: Lines = found["lines"]
    after = [line for line in lines if line["wall_s"] > began_s]
    gone = [x["wall_s"] for x in after if x["what"] == "gone" and x["pid"] in old]
    new = [x for x in after if x["pid"] not in old]
    noticed = _first(after, "what", ("noticed", "fit_raised"))
    grouped = _last_before_step(new, "grouped")
    torn_down = max((x for x in gone if grouped is None or x <= grouped), default=None)
    # A resize is no failure: its first sign is that workers which nothing happened to end.
    detected = noticed if noticed is not None else min(gone, default=None)
    restored = _last_before_step(new, "restored")
    batch = _last_before_step(new, "batch")
    steps = [x for x in lines if x["what"] == "step" and x["rank"] == 0]
    first = _first([x for x in new if x.get("rank") == 0], "what", ("step",))
    ended = max([x for x in (torn_down, detected) if x is not None], default=None)
    return Figures(
        **_standstill(steps, found),
        detect=_less(detected, began_s),
        teardown=_less(ended, detected),
        regroup=_less(grouped, ended),
        restore=_less(restored, grouped),
        batch=_less(batch, restored),
        step=_less(first, batch),
        survivors="restarted" if new else "",
    )


def _standstill(steps: Lines, found: dict[str, Any]) -> dict[str, Any]:
    """What both have: steps in the order in which they were done, and the fault among them."""
    fault = found["fault"]
    began_s = fault["began_s"]
    before = [x for x in steps if x["wall_s"] <= began_s]
    after = [x for x in steps if x["wall_s"] > began_s]
    if len(before) < 2:
        return {"step_s": None}
    step_s = statistics.median(_intervals(before[-10:]))
    done = max(x["step"] for x in before)
    new = next((x["wall_s"] for x in after if x["step"] > done), None)
    gaps = _intervals([before[-1], *after])
    return {
        "step_s": step_s,
        "standstill": None if new is None else max(0.0, new - before[-1]["wall_s"] - step_s),
        "from_capacity": _less(new, fault["capacity_s"]),
        "gap": max(0.0, max(gaps) - step_s) if after else None,
        "replayed": sum(x["step"] <= done for x in after),
    }


def _newcomer(found: dict[str, Any], steps: Lines) -> Newcomer | None:
    began_s, old = found["fault"]["began_s"], set(found["fault"]["workers"])
    joined = [
        event
        for event in found["events"]
        if event["kind"] == "joined" and event["wall_s"] > began_s and event["pid"] not in old
    ]
    if not joined:
        return None
    event = min(joined, key=lambda each: each["wall_s"])
    started_s, load_s = event.get("process_s"), event.get("load_s")
    loaded_s = started_s + load_s if started_s and load_s else None
    around = [x for x in steps if x["wall_s"] > event["wall_s"]][:2]
    earlier = [x for x in steps if x["wall_s"] <= event["wall_s"]][-6:]
    usual_s = statistics.median(_intervals(earlier)) if len(earlier) > 2 else None
    held_up = max(_intervals([earlier[-1], *around])) - usual_s if usual_s and around else None
    return Newcomer(
        # One that stood by was up before anything happened.
        up=max(0.0, started_s - began_s) if started_s else None,
        loaded=max(0.0, loaded_s - began_s) if loaded_s else None,
        joined=event["wall_s"] - began_s,
        step=_less(around[0]["wall_s"] if around else None, began_s),
        held_up=max(0.0, held_up) if held_up is not None else None,
    )


def _intervals(steps: Sequence[dict[str, Any]]) -> list[float]:
    return [later["wall_s"] - x["wall_s"] for x, later in itertools.pairwise(steps)]


def _first(lines: Iterable[dict[str, Any]], key: str, values: tuple[str, ...]) -> float | None:
    return min((x["wall_s"] for x in lines if x[key] in values), default=None)


def _last_before_step(lines: Lines, what: str) -> float | None:
    """When the last worker of the first group that came to a step had come so far."""
    end_s = _first(lines, "what", ("step",))
    times = [x["wall_s"] for x in lines if x["what"] == what and end_s and x["wall_s"] <= end_s]
    return max(times, default=None)


def _less(later: float | None, earlier: float | None) -> float | None:
    return None if later is None or earlier is None else max(0.0, later - earlier)
