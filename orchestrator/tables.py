"""Figures as a person reads them: rows of tables, and lines for what happens."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.search.naming import told

if TYPE_CHECKING:
    from orchestrator.cluster.costing import Costing
    from orchestrator.cluster.demo import DemoReport
    from orchestrator.cluster.evaluating import Answer
    from orchestrator.cluster.pricing import Priced
    from orchestrator.cluster.searching.stage import View
    from orchestrator.cluster.training import TrainResult
    from orchestrator.data.grouping.group import GroupReport
    from orchestrator.data.index import Index
    from orchestrator.data.lint.inspection import Inspection
    from orchestrator.launch.prices import Bill
    from orchestrator.search.concluding import Conclusion
    from orchestrator.search.trials import Trial
    from orchestrator.simulate.command import Report
    from orchestrator.simulate.run import Ranked, Simulation
    from orchestrator.tracking.events import Event
    from orchestrator.tracking.spending import Spending

LARGEST_SHOWN = 20
"""Bad rows and images that are printed; all of them are in a ledger."""


def index_figures(found: "Index") -> dict[str, Any]:
    """What an index holds."""
    summary = found.summary
    return {
        "source": summary.source,
        "samples": summary.num_samples,
        "quarantined": summary.num_bad,
        "images": summary.num_images,
        "text_tokens": summary.text_tokens,
        "image_tokens": summary.image_tokens,
        "label_tokens": summary.label_tokens,
        "longest_sample": summary.longest,
        "folder": str(found.folder),
    }


def bad_row_lines(found: "Index") -> Iterator[str]:
    """The first of an index's unusable rows, and where the others are."""
    bad = found.quarantine
    for row in bad[:LARGEST_SHOWN]:
        yield f"{row.source}: row {row.row} (id {row.id}): {row.reason}. {row.remedy}."
    if len(bad) > LARGEST_SHOWN:
        ledger = found.folder / "quarantine.jsonl"
        yield f"… and {len(bad) - LARGEST_SHOWN} more, all in {ledger}"


def finding_lines(found: "Inspection") -> Iterator[str]:
    """What lint found, a line each, and where the page is."""
    for finding in found.findings:
        example = next(iter(finding.examples), None)
        where = f" (as row {example.row} of {example.file})" if example else ""
        yield f"{finding.severity}: {finding.name}: {finding.detail}{where} {finding.remedy}."
    yield f"Look at the data: {found.page}"


EVENT_LINES: dict[str, Callable[["Event"], str]] = {
    "joined": lambda e: f"worker {e['cell']} joined after step {e['step']}",
    "lost": lambda e: f"worker {e['cell']} was lost after step {e['step']}",
    "notice": lambda e: f"worker {e['cell']}: {e['reason']}",
    "left": lambda e: f"worker {e['cell']} left after step {e['step']}",
    "slow": lambda e: f"worker {e['cell']} holds up the others: {e['reason']}",
    "released": lambda e: f"worker {e['cell']} is let go: {e['reason']}",
    "held": lambda e: f"worker {e['cell']} waits before it joins: {e['reason']}",
    "waiting": lambda e: f"waiting: {e['reason']}",
    "refused": lambda e: f"worker {e['cell']} may not take part: {e['reason']}",
    "nondeterministic": lambda e: f"not the same bits each time: {e['what']}",
    "halved": lambda e: (
        f"memory ran out in step {e['step']}: micro-batch {e['micro']} was computed in "
        f"{e['parts']} parts, and the run is not exact any more"
    ),
    "resumed": lambda e: f"resumed after step {e['step']}",
    "empty_slot": lambda e: f"left out {e['id']}: {e['reason']}",
    "checkpoint_failed": lambda e: f"no checkpoint at step {e['step']}: {e['reason']}",
    "eval": lambda e: (
        f"held-out after step {e['step']}: loss {e['loss']:.3f}, "
        f"accuracy {e['accuracy']:.1%} of {e['samples']}"
    ),
}
"""Events that a person wants to read as they happen."""


def cost_tables(costs: "Costing") -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """What groups cost, by their number of images, and whether all of it fits."""
    rows = [
        (
            f"{group.groups:,} of {group.images} images",
            f"{group.tokens:,.0f} tokens, {group.patches:,.0f} patches, "
            f"{group.saved_mb:,.1f} MB saved, {group.peak_mb:,.0f} MB peak, "
            + (f"{group.tflop:g} TFLOP" if group.seconds is None else f"{group.seconds:g} s"),
        )
        for group in costs.groups
    ]
    yield "a group alone, on average", rows
    usable = "unknown" if costs.usable_mb is None else f"{costs.usable_mb:,.0f} MB"
    verdict = {True: "it fits", False: "it does NOT fit", None: "nobody can tell"}
    yield (
        "memory of a worker",
        [
            ("model, optimizer, sums", f"{costs.standing_mb:,.0f} MB"),
            ("largest micro-batch", f"{costs.largest_peak_mb:,.0f} MB"),
            ("usable on the smallest device", f"{usable} ({costs.device})"),
            ("together", f"{costs.needed_mb:,.0f} MB: {verdict[costs.fits]}"),
        ],
    )


def price_tables(priced: Sequence["Priced"]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Hours and money by world size, a table a cloud."""
    for one in priced:
        prices = one.prices
        rows = [(_workers(bill.world_size), _bill(bill, prices.currency)) for bill in one.bills]
        if prices.data is not None:
            each = f"{prices.data:g} {prices.currency} an hour"
            rows.append(("each machine that only renders", each))
        rows.append(("a step's time is from", one.told_by))
        yield f"money on {prices.cloud}, prices of {prices.as_of}", rows


def _workers(world_size: int) -> str:
    return f"{world_size} worker{'s' if world_size > 1 else ''}"


def _bill(bill: "Bill", currency: str) -> str:
    offers = [
        f"{amount:,.2f} {currency} {market}"
        for market, amount in (("on spot", bill.spot), ("on demand", bill.on_demand))
        if amount is not None
    ]
    return f"{bill.hours:,.2f} h, {' or '.join(offers)}"


def submitted_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """A submitted job, and how far its run is."""
    code = figures["exit_code"]
    state = figures["state"] + (f", exit code {code}" if code else "")
    started_s, ended_s = figures["started_s"], figures["ended_s"]
    rows = [
        ("state", state),
        ("submission", figures["id"]),
        ("since", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started_s))),
        ("storage", figures["storage"]),
    ]
    if figures["step"] is not None:
        rows.append(("newest step", str(figures["step"] or "none that can be seen from here")))
    if ended_s is not None:
        rows.insert(3, ("took", f"{ended_s - started_s:.0f} s"))
    if figures["why"] and figures["state"] == "failed":
        rows.insert(1, ("why", figures["why"]))
    return rows


def train_rows(result: "TrainResult") -> list[tuple[str, str]]:
    """A finished training as a table."""
    figures = result.figures
    return [
        ("loss, first to last", f"{figures.first_loss:.3f} to {figures.final_loss:.3f}"),
        ("steps, epochs", f"{figures.steps}, {figures.epochs}"),
        ("samples used, quarantined", f"{figures.samples_used}, {result.quarantined}"),
        ("world sizes", " → ".join(map(str, figures.world_sizes))),
        ("workers joined, lost", f"{figures.joins}, {figures.losses}"),
        ("longest gap between steps", f"{figures.longest_gap_s:.2f} s beyond the median step"),
        ("steps replayed, restarts", f"{figures.steps_replayed}, {figures.restarts}"),
        ("goodput", f"{figures.goodput:.0%}"),
        *_spending_rows(result.spending),
        ("weights sha256", result.weights_sha256 + ("" if result.exact else " (not exact)")),
        ("run", result.run_dir),
    ]


def _spending_rows(spending: "Spending | None") -> list[tuple[str, str]]:
    if spending is None:
        return []
    parts = f"{spending.worker_hours:,.2f} worker hours, {spending.hours:,.2f} hours"
    return [("cost", f"{spending.cost:,.2f} {spending.currency} ({parts})")]


def answer_rows(answers: Sequence["Answer"]) -> list[tuple[str, str]]:
    """Evaluations as a table."""
    names = {"all": "all images", "first": "first image only", "swapped": "swapped images"}
    return [
        (
            names[answer.images] + ("" if answer.tuned else ", before tuning"),
            f"accuracy {answer.accuracy:.1%} of {answer.samples}, loss {answer.loss:.3f}",
        )
        for answer in answers
    ]


def demo_rows(report: "DemoReport") -> list[tuple[str, str]]:
    """The demo's table."""
    return [
        *train_rows(report.result),
        ("chance", f"{report.chance:.1%}"),
        *answer_rows(report.answers),
        ("adapter", report.adapter),
        ("MLflow store", report.mlflow),
        ("plot", report.plot),
    ]


def group_rows(report: "GroupReport") -> list[tuple[str, str]]:
    """A grouping as a table."""
    sizes = ", ".join(f"{number} of {size}" for size, number in report.sizes.items())
    return [
        ("data file (data.train.path)", report.data_file),
        ("images start at (data.train.media_dir)", report.media_dir),
        ("groups, by number of images", f"{report.groups} ({sizes or 'none'})"),
        ("images in groups, left out", f"{report.images}, {len(report.left_out)}"),
        ("other files", str(report.other_files)),
        ("contact sheets", report.sheets),
    ]


def simulation_tables(report: "Report") -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Simulations as tables with their titles, and the run itself beside its own."""
    for simulation in report.simulations:
        yield simulation.trace.name, _simulation_rows(simulation)
    if report.replayed is not None:
        run, simulated = report.replayed, report.replayed.simulated
        goodputs = f"{run.goodput:.1%}, {simulated.goodput:.1%} ({run.difference:+.1%})"
        yield (
            "the run itself, replayed",
            [
                ("goodput, simulated", goodputs),
                ("steps, simulated", f"{run.steps:,}, {simulated.steps:,}"),
            ],
        )


def _simulation_rows(found: "Simulation") -> list[tuple[str, str]]:
    return [
        (
            "nodes on average",
            f"{found.mean_nodes:,.1f} for {found.trace.end_s / 3600:.3g} hours",
        ),
        ("on-demand", f"{found.on_demand_per_1000:,.2f} a thousand steps"),
        *((ranked.outcome.strategy, _in_a_line(ranked)) for ranked in found.ranked),
    ]


def _in_a_line(ranked: "Ranked") -> str:
    outcome, cost = ranked.outcome, ranked.cost_per_1000
    return ", ".join(
        [
            f"goodput {outcome.goodput:.1%}",
            f"{outcome.steps:,} steps ({ranked.of_ideal:.1%} of ideal)",
            f"{outcome.losses:,} losses",
            f"{outcome.standstill_s / 3600:,.2f} h stood still",
            f"{outcome.steps_replayed:,} steps replayed",
            f"{outcome.lost_node_s / 3600:,.1f} node hours of work lost",
            "no step" if cost is None else f"{cost:,.2f} a thousand steps",
        ]
    )


TRIAL_COLUMNS = (
    "#",
    "trial",
    "status",
    "steps",
    "loss",
    "accuracy",
    "samples/s",
    "peak MB",
    "device-h",
    "",
)
"""What the table of a search's trials shows."""


def trial_row(trial: "Trial", note: str) -> list[str]:
    """A trial in the table."""
    figures = trial.figures
    shown = ["-"] * 6
    if figures is not None:
        shown = [
            f"{figures.steps}/{figures.planned_steps}",
            _shown(figures.loss, "{:.4f}"),
            _shown(figures.accuracy, "{:.1%}"),
            f"{figures.samples_per_s:.1f}",
            _shown(figures.peak_memory_mb, "{:,.0f}"),
            f"{figures.device_hours:.3f}",
        ]
    return [str(trial.number), told(trial.values), trial.status, *shown, note or trial.reason]


def trial_line(trial: "Trial") -> str:
    """What has become of a trial, in a line."""
    figures, reason = trial.figures, f": {trial.reason}" if trial.reason else ""
    loss = (
        f", loss {figures.loss:.4f}" if figures is not None and figures.loss is not None else ""
    )
    steps = f" after {figures.steps} steps{loss}" if figures is not None else ""
    return f"trial {trial.number} ({told(trial.values)}) {trial.status}{steps}{reason}"


def search_title(view: "View") -> str:
    """What stands above the table of trials."""
    ended = sum(trial.has_ended for trial in view.trials)
    spent = view.spent
    return (
        f"{ended} of {len(view.trials)} trials ended, room for {view.room} at once; "
        f"{spent.steps:,} steps, {spent.device_hours:.3f} device-hours, "
        f"{60 * spent.hours:.1f} min"
    )


def search_rows(conclusion: "Conclusion") -> list[tuple[str, str]]:
    """What a search has found, as a table."""
    counts = Counter(trial.status for trial in conclusion.trials)
    rows = [("trials", ", ".join(f"{count} {status}" for status, count in counts.items()))]
    for place, trial in enumerate(conclusion.front):
        assert trial.figures is not None
        name = "the best" if place == 0 else "not beaten by any"
        figures = trial.figures
        rows.append(
            (
                name,
                f"{told(trial.values)}: loss {_shown(figures.loss, '{:.4f}')}, accuracy "
                f"{_shown(figures.accuracy, '{:.1%}')}, {figures.samples_per_s:.1f} samples/s, "
                f"{_shown(figures.peak_memory_mb, '{:,.0f}')} MB, "
                f"{figures.device_hours:.3f} device-hours",
            )
        )
    told_files = conclusion.as_json()
    return [
        *rows,
        ("weights of the best", conclusion.best.weights_sha256 if conclusion.best else "-"),
        (
            "steps, device-hours",
            f"{conclusion.spent.steps:,}, {conclusion.spent.device_hours:.3f}",
        ),
        ("job of the best", str(told_files["best_job"])),
        ("page", str(told_files["page"])),
    ]


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
