"""Figures as a person reads them: rows of tables, and lines for what happens."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.cluster.costing import Costing
    from orchestrator.cluster.demo import DemoReport
    from orchestrator.cluster.evaluating import Answer
    from orchestrator.cluster.training import TrainResult
    from orchestrator.data.grouping.group import GroupReport
    from orchestrator.data.index import Index
    from orchestrator.data.lint.inspection import Inspection
    from orchestrator.simulate.command import Report
    from orchestrator.simulate.run import Ranked, Simulation
    from orchestrator.tracking.events import Event

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
        ("weights sha256", result.weights_sha256 + ("" if result.exact else " (not exact)")),
        ("run", result.run_dir),
    ]


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
