"""What the trainings say: intervals, the bar, and the table of the docs.

Intervals are paired: methods of one seed share base, training samples and test samples.

Letters: R seeds, S test samples, B resamplings.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.bench.fusion.measure import BAR_IMAGES, unpacked
from tests.bench.fusion.methods import BASELINES, METHODS, PARTS
from tests.bench.fusion.tasks import TASKS

Floats = NDArray[np.float64]
Results = list[dict[str, Any]]
RESAMPLINGS: Final = 1000
OF_FULL: Final = 0.95
OVER_BASELINES: Final = 0.10
OVER_TASKS: Final = 3
OF_PART: Final = 0.03
_BEGIN: Final = "<!-- from tests/bench/fusion/results.json -->"
_END: Final = "<!-- end -->"


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def points(self) -> str:
        """As percentage points, signed."""
        low, high = 100 * self.low, 100 * self.high
        return f"{100 * self.value:+.1f} ({low:+.1f} to {high:+.1f})"


def paired(one_RS: Floats, other_RS: Floats, seed: int = 0) -> Estimate:
    """The difference of two methods' accuracies.

    Seeds are drawn anew, and test samples too, the same for both methods and all seeds: what a
    seed or a sample does to both of them cancels.

    Source: paired bootstrap over two crossed factors, after Koehn 2004.
    """
    gap_RS = one_RS - other_RS
    rng = np.random.default_rng(seed)
    seeds, samples = gap_RS.shape
    seeds_BR = rng.integers(0, seeds, (RESAMPLINGS, seeds))
    # How often a sample is drawn is all that a mean over samples needs to know.
    often_BS = rng.multinomial(samples, np.full(samples, 1 / samples), RESAMPLINGS)
    means_BR = often_BS.astype(np.float64) @ gap_RS.T / samples
    means_B = np.take_along_axis(means_BR, seeds_BR, 1).mean(1)
    low, high = np.quantile(means_B, (0.025, 0.975))
    return Estimate(float(gap_RS.mean()), float(low), float(high))


class Trainings:
    """Results by task and method."""

    def __init__(self, results: Results) -> None:
        self._by: dict[tuple[str, str], Results] = {}
        for one in sorted(results, key=lambda one: int(one["seed"])):
            self._by.setdefault((one["task"], one["method"]), []).append(one)

    def of(self, task: str, method: str) -> Results:
        """One training a seed; none where none was done."""
        return self._by.get((task, method), [])

    def mean(self, task: str, method: str, images: int = BAR_IMAGES) -> float | None:
        """Accuracy over all seeds."""
        found = [one["accuracy"].get(str(images)) for one in self.of(task, method)]
        return float(np.mean(found)) if found and None not in found else None

    def gap(self, task: str, method: str, other: str) -> Estimate | None:
        """How much better a method is than another, over the seeds that both have."""
        ones, others = (
            {
                one["seed"]: unpacked(one["right"]).astype(np.float64)
                for one in self.of(task, name)
            }
            for name in (method, other)
        )
        both = sorted(ones.keys() & others.keys())
        if not both:
            return None
        return paired(np.stack([ones[s] for s in both]), np.stack([others[s] for s in both]))

    def best_baseline(self, task: str) -> str | None:
        """The best of those with the same budget, by its mean."""
        means = {name: self.mean(task, name) for name in BASELINES}
        known = {name: mean for name, mean in means.items() if mean is not None}
        return max(known, key=lambda name: known[name]) if known else None


def table(trainings: Trainings) -> Iterator[str]:
    """Accuracy of all methods at the bar's number of pictures."""
    yield (
        f"| % right at {BAR_IMAGES} images | "
        + " | ".join(TASKS)
        + " | tokens | CPU s to train |"
    )
    yield "|---|" + "---:|" * (len(TASKS) + 2)
    for method in METHODS:
        found = [one for task in TASKS for one in trainings.of(task, method)]
        if not found:
            continue
        means = (trainings.mean(task, method) for task in TASKS)
        cells = ["" if mean is None else f"{100 * mean:.1f}" for mean in means]
        tokens = np.mean([one["lm_tokens"][str(BAR_IMAGES)] for one in found])
        # Earlier seeds may have been trained on another machine.
        last = max(one["seed"] for one in found)
        cpu_s = np.median([one["cpu_s"] for one in found if one["seed"] == last])
        yield f"| {method} | {' | '.join(cells)} | {tokens:.0f} | {cpu_s:.0f} |"


def controls(trainings: Trainings) -> Iterator[str]:
    """What is left of full and fusion when the pictures are not what was asked about."""
    yield "| control | " + " | ".join(TASKS) + " |"
    yield "|---|" + "---:|" * len(TASKS)
    for method in ("full", "fusion"):
        for control in ("shuffled", "swapped"):
            cells = []
            for task in TASKS:
                found = [one["controls"][control] for one in trainings.of(task, method)]
                cells.append(f"{100 * np.mean(found):.1f}" if found else "")
            yield f"| {method}, {control} | {' | '.join(cells)} |"


def verdicts(trainings: Trainings) -> Iterator[str]:
    """What was asked for, and what was seen."""
    yield from _beside_full(trainings)
    yield from _beside_baselines(trainings)
    for part, tasks in PARTS.items():
        for task in tasks:
            gap = trainings.gap(task, "fusion", part)
            if gap is not None:
                is_met = gap.value >= OF_PART
                yield f"* {part}, on {task}: costs {gap.points()} points: {_said(is_met)}"


def _beside_full(trainings: Trainings) -> Iterator[str]:
    shares = {}
    for task in TASKS:
        fusion, full = trainings.mean(task, "fusion"), trainings.mean(task, "full")
        if fusion is not None and full:
            shares[task] = fusion / full
    if shares:
        is_met = min(shares.values()) >= OF_FULL
        said = ", ".join(f"{task} {100 * share:.1f} %" for task, share in shares.items())
        yield f"* of full concatenation's accuracy: {said}: {_said(is_met)}"


def _beside_baselines(trainings: Trainings) -> Iterator[str]:
    ahead = 0
    for task in TASKS:
        best = trainings.best_baseline(task)
        gap = trainings.gap(task, "fusion", best) if best else None
        if gap is not None:
            ahead += gap.value >= OVER_BASELINES and gap.low > 0
            yield f"* beside {best}, the best at equal tokens, on {task}: {gap.points()} points"
    yield f"* at least {100 * OVER_BASELINES:.0f} points on {ahead} of {len(TASKS)} tasks: " + (
        _said(ahead >= OVER_TASKS)
    )


def _said(is_met: bool) -> str:  # noqa: FBT001 - a verdict is its one argument
    return "met" if is_met else "not met"


def write_table(results: Results, path: Path) -> str:
    """Put table, controls and verdicts in their place in a page; returns them.

    The page is left alone where it has no such place.
    """
    trainings = Trainings(results)
    parts: Sequence[Iterator[str]] = (
        table(trainings),
        controls(trainings),
        verdicts(trainings),
    )
    text = "\n\n".join("\n".join(part) for part in parts)
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    if _BEGIN in page and _END in page:
        before, after = page.split(_BEGIN)[0], page.split(_END)[1]
        path.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}", encoding="utf-8")
    return text
