"""The page of a search: one file that needs nothing else, for any browser.

Whatever comes from a job is escaped, and the page forbids itself scripts and requests.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.config.search import Objective, SearchConfig
from orchestrator.data.lint.look import opening
from orchestrator.data.lint.words import escaped, of
from orchestrator.search.axes import Rail
from orchestrator.search.budget import Spent
from orchestrator.search.effects import Effect, effects
from orchestrator.search.lineage import told_lineage
from orchestrator.search.naming import short_names, told
from orchestrator.search.objectives import IS_BETTER_HIGH, TITLES, costs_of, front, measured
from orchestrator.search.pictures import Dot, Line, intervals, rails, scatter
from orchestrator.search.trials import Trial

if TYPE_CHECKING:
    from pydantic import JsonValue

MICRO_BATCHES = "micro-batches a step"
"""The accumulation that follows from what the job sets, as a column of its own."""
_ACCUMULATION = ("train.global_batch", "train.micro_tokens")
_PRICES: tuple[Objective, ...] = ("peak_memory", "device_hours")
_MORE_STYLE = """
figure.wide{grid-column:1/-1;overflow-x:auto}figure.wide svg{min-width:640px}
.done{fill:var(--train)}.early{fill:none;stroke:var(--quiet);stroke-width:1.2}
.best{fill:var(--held)}.front{fill:none;stroke:var(--held);stroke-width:1.5;opacity:.7}
.whisker{stroke:var(--train);stroke-width:1.5}
.way{fill:none;stroke-width:1.4;opacity:.6}.way.done{stroke:var(--train);fill:none}
.way.early{stroke:var(--quiet);opacity:.3;fill:none}
.way.best{stroke:var(--held);stroke-width:3;opacity:1;fill:none}
svg text.name{font-size:12px;font-weight:600;fill:var(--ink)}
svg text.mark{paint-order:stroke;stroke:var(--card);stroke-width:3px}
.key.best{background:var(--held)}.key.early{background:none;border:1.5px solid var(--quiet)}
.key{margin-left:12px}.badge.failed,.badge.refused{background:var(--warn-soft);color:var(--warn)}
h3.quiet{margin-top:18px}h3.quiet+.charts{margin-top:8px}
td.trial{min-width:9.5em}td.status{min-width:9em}
tr.chosen td{background:var(--note-soft)}.scroll{overflow-x:auto}
"""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a page tells."""

    name: str
    config: SearchConfig
    trials: tuple[Trial, ...]
    front: tuple[Trial, ...]
    """The best first."""

    @property
    def quality(self) -> Objective:
        """What is held against the price: the first objective that is no price itself."""
        found = (each for each in self.config.objectives if each not in _PRICES)
        return next(found, "loss")


def page(findings: Findings, spent: Spent) -> str:
    """The whole page."""
    parts = [
        _head(findings, spent),
        "<main>",
        *_decision(findings),
        *_fronts(findings),
        *_effects(findings),
        *_coordinates(findings),
        *_table(findings),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def effects_of(findings: Findings, objective: Objective) -> list[Effect]:
    """What each field does to an objective, by the trials that came to their end."""
    if findings.config.scheduler == "pbt":
        # Values changed in mid-run: no outcome is that of one value.
        return []
    fields = list(findings.config.space)
    points: list[tuple[dict[str, JsonValue], float]] = []
    for trial in findings.trials:
        if trial.status != "finished" or trial.figures is None or list(trial.values) != fields:
            continue
        outcome = measured(trial.figures, objective)
        if outcome is not None:
            points.append(
                ({**trial.values, MICRO_BATCHES: trial.figures.micro_batches}, outcome)
            )
    found = effects(points, fields)
    if any(field in fields for field in _ACCUMULATION):
        # In the place of what it follows from: beside it, nobody could tell whose doing it was.
        others = [field for field in fields if field not in _ACCUMULATION]
        found += [
            e for e in effects(points, [*others, MICRO_BATCHES]) if e.field == MICRO_BATCHES
        ]
    return found


def _head(findings: Findings, spent: Spent) -> str:
    title = escaped(findings.name)
    counts = {s: sum(t.status == s for t in findings.trials) for s in _STATUS_WORDS}
    tiles = [(f"{count:,}", _STATUS_WORDS[s]) for s, count in counts.items() if count]
    tiles += [
        (f"{spent.steps:,}", "optimizer steps"),
        (f"{spent.device_hours:.3g}", "device-hours"),
        (f"{60 * spent.hours:.3g}", "minutes"),
    ]
    return opening(f"Search {title}", f"Search {title}", tiles, _MORE_STYLE)


_STATUS_WORDS = {
    "finished": "trials finished",
    "stopped": "ended early",
    "failed": "failed",
    "refused": "refused before they began",
    "running": "still running",
}


def _decision(findings: Findings) -> Iterator[str]:
    yield "<section><h2>The decision</h2>"
    if not findings.front:
        yield '<p class="quiet">No trial has come to its end.</p></section>'
        return
    best = findings.front[0]
    assert best.figures is not None
    reached = ", ".join(
        f"{TITLES[each]} {_number(measured(best.figures, each))}"
        for each in findings.config.objectives
    )
    why = "It is the best of all that came to their end."
    if len(findings.config.objectives) > 1:
        first = TITLES[findings.config.objectives[0]]
        why = (
            f"Of {of(len(findings.front), 'trial')} that no other beats in all objectives it "
            f"has the best {first}."
        )
    bred = told_lineage(best, findings.trials)
    if bred:
        why += f" It was {bred}."
    yield (
        f'<article class="finding"><h3 class="data">{escaped(told(best.values), 400)}</h3>'
        f"<p>{escaped(reached)}. {escaped(why)}</p>"
        f'<p class="quiet data">Run {escaped(best.name)}; weights '
        f"{escaped(best.weights_sha256)}; its job is <code>best.yaml</code>.</p></article>"
    )
    yield "</section>"


def _fronts(findings: Findings) -> Iterator[str]:
    quality = findings.quality
    yield '<section><h2>Quality against its price</h2><p class="quiet">'
    yield (
        '<i class="key" style="margin-left:0"></i>finished<i class="key best"></i>the decision'
        '<i class="key early"></i>ended early</p><div class="charts">'
    )
    for price in _PRICES:
        pair: tuple[Objective, ...] = (price, quality)
        title = f"{TITLES[quality]} against {TITLES[price]}"
        yield scatter(title, (TITLES[price], TITLES[quality]), _dots(findings, pair))
    yield "</div></section>"


def _dots(findings: Findings, pair: tuple[Objective, ...]) -> list[Dot]:
    known = []
    for trial in findings.trials:
        if trial.figures is not None and trial.status in ("finished", "stopped"):
            costs = costs_of(trial.figures, pair)
            if costs is not None:
                known.append((trial, costs))
    whole = [place for place, (trial, _) in enumerate(known) if trial.status == "finished"]
    best = {whole[place] for place in front([known[place][1] for place in whole])}
    return [
        Dot(
            x=-costs[0] if IS_BETTER_HIGH[pair[0]] else costs[0],
            y=-costs[1] if IS_BETTER_HIGH[pair[1]] else costs[1],
            words=f"{told(trial.values)}: {costs[0]:.4g}, {abs(costs[1]):.4g}",
            kind=_kind(trial, findings),
            on_front=place in best,
        )
        for place, (trial, costs) in enumerate(known)
    ]


def _kind(trial: Trial, findings: Findings) -> str:
    if findings.front and trial.name == findings.front[0].name:
        return "best"
    return "done" if trial.status == "finished" else "early"


def _effects(findings: Findings) -> Iterator[str]:
    yield "<section><h2>What each field does</h2>"
    drawn = False
    for objective in dict.fromkeys((findings.config.objectives[0], *_PRICES)):
        found = effects_of(findings, objective)
        if not found:
            continue
        drawn = True
        yield f'<h3 class="quiet">to {TITLES[objective]}</h3><div class="charts">'
        shorts = short_names(findings.config.space)
        for effect in found:
            yield intervals(effect, shorts.get(effect.field, effect.field), TITLES[objective])
        yield "</div>"
    if not drawn:
        why = (
            "A population's values change in mid-run: no outcome is that of one value."
            if findings.config.scheduler == "pbt"
            else "It takes two trials that came to their end."
        )
        yield f'<p class="quiet">{why}</p>'
    yield "</section>"


def _coordinates(findings: Findings) -> Iterator[str]:
    fields = list(findings.config.space)
    shown = [t for t in findings.trials if t.figures is not None and list(t.values) == fields]
    if not shown:
        return
    shorts = short_names(fields)
    columns = [Rail.of_values(shorts[f], [t.values[f] for t in shown]) for f in fields]
    if any(field in fields for field in _ACCUMULATION):
        micros: Sequence[float | None] = [t.figures.micro_batches for t in shown if t.figures]
        columns.append(Rail.of_numbers(MICRO_BATCHES, micros))
    for objective in dict.fromkeys((*findings.config.objectives, *_PRICES)):
        values = [measured(t.figures, objective) for t in shown if t.figures]
        columns.append(Rail.of_numbers(TITLES[objective], values))
    lines = [Line(f"{told(t.values)} ({t.status})", _kind(t, findings)) for t in shown]
    drawn = rails("Settings and outcomes", columns, lines)
    yield f'<section><h2>All together</h2><div class="charts">{drawn}</div></section>'


def _table(findings: Findings) -> Iterator[str]:
    columns = (
        "#", "Trial", "Status", "Steps", MICRO_BATCHES.capitalize(), "Held-out loss",
        "Accuracy", "Samples/s", "Peak MB", "Device-hours", "Restarts",
    )  # fmt: skip
    heads = "".join(
        f"<th{'' if name in ('Trial', 'Status') else ' class=number'}>{name}</th>"
        for name in columns
    )
    yield '<section><h2>What each trial cost</h2><div class="scroll"><table>'
    yield f"<thead><tr>{heads}</tr></thead><tbody>"
    yield from (_row(trial, findings) for trial in findings.trials)
    yield "</tbody></table></div></section>"


def _row(trial: Trial, findings: Findings) -> str:
    figures = trial.figures
    numbers: list[str] = []
    if figures is not None:
        numbers = [
            f"{figures.steps} of {figures.planned_steps}",
            _number(figures.micro_batches),
            _number(figures.loss),
            "-" if figures.accuracy is None else f"{figures.accuracy:.1%}",
            _number(figures.samples_per_s),
            "-" if figures.peak_memory_mb is None else f"{figures.peak_memory_mb:,.0f}",
            _number(figures.device_hours),
            str(figures.restarts),
        ]
    cells = "".join(f'<td class="number">{text}</td>' for text in numbers or ["-"] * 8)
    chosen = ' class="chosen"' if _kind(trial, findings) == "best" else ""
    notes = [trial.reason, told_lineage(trial, findings.trials)]
    reason = "".join(
        f'<div class="quiet data">{escaped(note, 300)}</div>' for note in notes if note
    )
    return (
        f'<tr{chosen}><td class="number">{trial.number}</td>'
        f'<td class="data trial">{escaped(told(trial.values), 300)}</td>'
        f'<td class="status"><span class="badge {trial.status}">{trial.status}</span>'
        f"{reason}</td>{cells}</tr>"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
