"""The commands: the only file that prints, parses arguments or exits."""

import json
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.config.job import Job
from orchestrator.config.load import load_job
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.screen import Bar, Screen

if TYPE_CHECKING:
    from orchestrator.cluster.demo import DemoReport
    from orchestrator.cluster.evaluating import Answer
    from orchestrator.cluster.prepare import Prepared
    from orchestrator.cluster.training import TrainResult
    from orchestrator.data.index import Index
    from orchestrator.tracking.events import Event

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Fine-tune vision-language models on groups of images, on machines that come and go.",
)

JobFile = Annotated[Path, typer.Argument(metavar="JOB", help="The job file (YAML).")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="Override a field of the job."),
]
Address = Annotated[
    str | None,
    typer.Option(help="A running Ray cluster; else RAY_ADDRESS, else a private one here."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, last line on stdout.")
]
LARGEST_SHOWN = 20
"""Quarantined rows that are printed; all of them are in the ledger."""


def main() -> None:
    """Run the command line; exit 0 done, 1 failed, 2 for wrong input."""
    try:
        app()
    except InputError as error:
        _complain(error)
        raise SystemExit(2) from None
    except OrchestratorError as error:
        _complain(error)
        raise SystemExit(1) from None


def _complain(error: OrchestratorError) -> None:
    typer.echo(f"error: {error}", err=True)


@contextmanager
def _screen(folder: Path, command: str) -> Iterator[Screen]:
    """A quiet terminal for one command; errors are said on it, in one line."""
    screen = Screen(folder / f"{command}-{time.strftime('%Y%m%d-%H%M%S')}.log")
    try:
        yield screen
    except OrchestratorError as error:
        screen.say(f"error: {error}")
        raise SystemExit(2 if isinstance(error, InputError) else 1) from None
    except KeyboardInterrupt:
        screen.say("stopped; the same command goes on from the last checkpoint")
        raise SystemExit(130) from None
    except Exception as error:  # noqa: BLE001 - the last one to hear of it
        traceback.print_exc()
        screen.say(f"error: {type(error).__name__}: {error} (traceback in {screen.log})")
        raise SystemExit(1) from None


def _logs(job: Job) -> Path:
    root = Path.home() / ".cache" / "orchestrator"
    return (root if "://" in job.storage.path else Path(job.storage.path)) / "logs"


def _load(job_file: Path, overrides: list[str] | None) -> Job:
    return load_job(job_file, overrides or []).resolved(Path.cwd())


@contextmanager
def _session(job: Job, address: str | None, screen: Screen) -> Iterator[None]:
    from orchestrator.cluster.session import open_session

    # A worker's share, and one CPU more to render and index with.
    cpus = job.scale.workers[0] * job.scale.cpus_per_worker + 1
    with ExitStack() as stack:
        with screen.console.status("Starting Ray"):
            stack.enter_context(open_session(address, cpus=cpus))
        yield


def _prepare(job: Job, screen: Screen) -> "Prepared":
    from orchestrator.cluster.prepare import prepare

    with screen.bar("Indexing") as bar:
        return prepare(job, progress=lambda rows: bar.move(rows, note="rows"))


@app.command()
def index(
    job_file: JobFile,
    overrides: Overrides = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Build the index, and print every sample that cannot be used, with the reason."""
    job = _load(job_file, overrides)
    with _screen(_logs(job), "index") as screen, _session(job, address, screen):
        prepared = _prepare(job, screen)
        for part, found in prepared.indexes.items():
            _show_index(screen, part, found)
        if as_json:
            screen.print_json(
                json.dumps(
                    {part: _index_figures(found) for part, found in prepared.indexes.items()}
                )
            )


def _index_figures(found: "Index") -> dict[str, Any]:
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


def _show_index(screen: Screen, part: str, found: "Index") -> None:
    figures = _index_figures(found)
    screen.show(f"index of {part}", ((name, str(value)) for name, value in figures.items()))
    bad = found.quarantine
    for row in bad[:LARGEST_SHOWN]:
        screen.say(f"{row.source}: row {row.row} (id {row.id}): {row.reason}. {row.remedy}.")
    if len(bad) > LARGEST_SHOWN:
        ledger = found.folder / "quarantine.jsonl"
        screen.say(f"… and {len(bad) - LARGEST_SHOWN} more, all in {ledger}")


@app.command()
def plan(
    job_file: JobFile,
    overrides: Overrides = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Say what a training would do, without training: steps, micro-batches, tokens."""
    job = _load(job_file, overrides)
    with _screen(_logs(job), "plan") as screen, _session(job, address, screen):
        from orchestrator.cluster.forecast import forecast

        found = forecast(_prepare(job, screen))
        figures = asdict(found)
        screen.show(
            f"plan of {job.name}", ((name, str(value)) for name, value in figures.items())
        )
        if as_json:
            screen.print_json(json.dumps(figures))


@app.command()
def train(
    job_file: JobFile,
    overrides: Overrides = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Train, taking up whatever of the run is already there."""
    job = _load(job_file, overrides)
    with _screen(_logs(job), "train") as screen, _session(job, address, screen):
        from orchestrator.cluster.training import train as run

        prepared = _prepare(job, screen)
        with screen.bar("Training", prepared.num_steps("train")) as bar:
            result = run(prepared, follow(screen, bar))
        if result.was_finished:
            screen.say(f"{job.name} is finished already; choose a new name to train anew")
        if result.record_problem is not None:
            screen.say(f"warning: MLflow lacks a part of this run: {result.record_problem}")
        screen.show(job.name, train_rows(result))
        if as_json:
            screen.print_json(json.dumps(result.as_json()))


def follow(screen: Screen, bar: Bar) -> Callable[[list["Event"]], None]:
    """Show a training's events: steps on the bar, what happens to workers as lines."""

    def watch(events: list["Event"]) -> None:
        for event in events:
            if event["kind"] == "step":
                note = f"loss {event['loss']:.3f}, {event['world_size']} workers"
                bar.move(int(event["step"] or 0), note=note)
            elif event["kind"] in EVENT_LINES:
                screen.say(EVENT_LINES[event["kind"]](event))

    return watch


EVENT_LINES: dict[str, Callable[["Event"], str]] = {
    "joined": lambda e: f"worker {e['cell']} joined after step {e['step']}",
    "lost": lambda e: f"worker {e['cell']} was lost after step {e['step']}",
    "waiting": lambda e: f"waiting: {e['reason']}",
    "refused": lambda e: f"worker {e['cell']} may not take part: {e['reason']}",
    "resumed": lambda e: f"resumed after step {e['step']}",
    "empty_slot": lambda e: f"left out {e['id']}: {e['reason']}",
    "checkpoint_failed": lambda e: f"no checkpoint at step {e['step']}: {e['reason']}",
    "eval": lambda e: (
        f"held-out after step {e['step']}: loss {e['loss']:.3f}, "
        f"accuracy {e['accuracy']:.1%} of {e['samples']}"
    ),
}
"""Events that a person wants to read as they happen."""


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


@app.command()
def evaluate(
    job_file: JobFile,
    overrides: Overrides = None,
    address: Address = None,
    as_json: AsJson = False,
    controls: Annotated[
        bool,
        typer.Option(
            help="Also ask the base model, with one image only, and with swapped ones."
        ),
    ] = True,
) -> None:
    """Measure the run's newest checkpoint on the held-out data."""
    job = _load(job_file, overrides)
    with _screen(_logs(job), "evaluate") as screen, _session(job, address, screen):
        from orchestrator.cluster.evaluating import ALL_QUESTIONS
        from orchestrator.cluster.evaluating import evaluate as ask

        questions = ALL_QUESTIONS if controls else ALL_QUESTIONS[:1]
        with screen.bar("Evaluating") as bar:
            answers = ask(job, questions, bar.move)
        screen.show(f"{job.name} on held-out data", answer_rows(answers))
        if as_json:
            screen.print_json(json.dumps([asdict(answer) for answer in answers]))


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


@app.command()
def export(
    job_file: JobFile,
    to: Annotated[Path, typer.Option(help="A folder that does not exist yet, or is empty.")],
    overrides: Overrides = None,
    as_json: AsJson = False,
    merged: Annotated[
        bool, typer.Option("--merged", help="Write base and adapter as one model.")
    ] = False,
) -> None:
    """Write the run's adapter, for stock peft, or base and adapter as one model."""
    job = _load(job_file, overrides)
    with _screen(_logs(job), "export") as screen:
        from orchestrator.train.result import export_run

        files = export_run(job, to, merged=merged)
        what = "the merged model" if merged else "the adapter"
        screen.say(f"{what} is in {to} ({len(files)} files)")
        if as_json:
            screen.print_json(json.dumps({"folder": str(to), "files": files}))


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where everything is made.")] = Path(".demo"),
    job_file: Annotated[Path, typer.Option("--job")] = Path("jobs/demo.yaml"),
    as_json: AsJson = False,
) -> None:
    """Run the whole way on data and a model made on the spot, losing a node meanwhile."""
    job = _load(job_file, None)
    with _screen(folder / "logs", "demo") as screen:
        from orchestrator.cluster.demo import run_demo

        report = run_demo(job, folder.absolute(), screen, partial(follow, screen))
        screen.show("the demo", demo_rows(report))
        if as_json:
            screen.print_json(json.dumps(report.as_json()))


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
