"""The commands: the only file that prints, parses arguments or exits."""

import json
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from orchestrator.config.job import Job
from orchestrator.config.load import load_job
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.screen import Bar, Screen, say_after_another
from orchestrator.storage import Store
from orchestrator.tables import (
    EVENT_LINES,
    LARGEST_SHOWN,
    answer_rows,
    bad_row_lines,
    demo_rows,
    finding_lines,
    group_rows,
    index_figures,
    train_rows,
)

if TYPE_CHECKING:
    from orchestrator.cluster.prepare import Prepared
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
        return prepare(job, progress=lambda done, what: bar.move(done, note=what))


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
        from orchestrator.data.lint.inspection import inspect

        prepared = _prepare(job, screen)
        figures: dict[str, Any] = {
            part: index_figures(found) for part, found in prepared.indexes.items()
        }
        for part, found in prepared.indexes.items():
            rows = ((name, str(value)) for name, value in figures[part].items())
            screen.show(f"index of {part}", rows)
            for line in bad_row_lines(found):
                screen.say(line)
        inspection = inspect(job, prepared.indexes)
        for line in finding_lines(inspection):
            screen.say(line)
        if as_json:
            findings = [asdict(finding) for finding in inspection.findings]
            page = str(inspection.page)
            screen.print_json(json.dumps({**figures, "findings": findings, "page": page}))


@app.command()
def group(  # noqa: PLR0913, PLR0917 - each is an option of its own
    folder: Annotated[Path, typer.Argument(help="Loose images, in folders or not.")],
    to: Annotated[Path | None, typer.Option(help="Else groups.jsonl in the folder.")] = None,
    by: Annotated[
        Literal["folder", "name", "time", "look"],
        typer.Option(help="A key in the name, the time of capture, or likeness."),
    ] = "folder",
    max_size: Annotated[int, typer.Option(help="Larger groups are cut evenly.")] = 6,
    min_size: Annotated[int, typer.Option(help="Smaller groups are left out.")] = 2,
    pattern: Annotated[
        str | None, typer.Option(help="By name: a regular expression whose group is the key.")
    ] = None,
    gap: Annotated[float, typer.Option(help="By time: seconds between groups.")] = 60.0,
    use_file_time: Annotated[
        bool, typer.Option("--use-file-time", help="By time: where EXIF has none.")
    ] = False,
    distance: Annotated[int, typer.Option(help="By look: bits of 64 that may differ.")] = 10,
    across_folders: Annotated[
        bool, typer.Option("--across-folders", help="Groups may span folders.")
    ] = False,
    template: Annotated[
        str, typer.Option(help="Instruction template, or a text file; '' leaves it to the job.")
    ] = "vqa",
    question: Annotated[str | None, typer.Option(help="Else the template's own.")] = None,
    answer: Annotated[str | None, typer.Option(help="The answer to every group.")] = None,
    answers: Annotated[
        Path | None, typer.Option(help="CSV with the columns answer, and id or image.")
    ] = None,
    sheets: Annotated[bool, typer.Option(help="Draw a contact sheet of each group.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Write over a changed file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a data file of loose images: which belong together, and what is asked of them."""
    from orchestrator.data.grouping.group import group_images
    from orchestrator.data.grouping.rules import NAME_PATTERN
    from orchestrator.data.grouping.wanted import Grouping

    wanted = Grouping(
        how=by, max_size=max_size, min_size=min_size, pattern=pattern or NAME_PATTERN,
        gap_s=gap, use_file_time=use_file_time, distance=distance,
        across_folders=across_folders, template=template or None, question=question,
        answer=answer, answers=answers, sheets=sheets, force=force,
    )  # fmt: skip
    with _screen(Path.home() / ".cache" / "orchestrator" / "logs", "group") as screen:
        with screen.bar("Grouping") as bar:
            report = group_images(folder, to or folder / "groups.jsonl", wanted, bar.move)
        for one in report.left_out[:LARGEST_SHOWN]:
            screen.say(f"{one.name}: {one.reason}. {one.remedy}.")
        if len(report.left_out) > LARGEST_SHOWN:
            ledger = Path(report.sheets) / "left_out.jsonl"
            screen.say(f"… and {len(report.left_out) - LARGEST_SHOWN} more, all in {ledger}")
        for note in report.notes:
            screen.say(note)
        screen.show("groups", group_rows(report))
        if report.unanswered:
            screen.say(
                f"{report.unanswered} groups have no answer, and nothing can be learned from "
                f"them: fill them in in {report.data_file}, or give --answers or --answer"
            )
        if as_json:
            screen.print_json(json.dumps(report.as_json()))


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
    supervise: Annotated[
        bool, typer.Option(help="Start the driver again when it dies of a fault.")
    ] = True,
) -> None:
    """Train, taking up whatever of the run is already there."""
    job = _load(job_file, overrides)
    if not supervise:
        _train(job, address, as_json, nullcontext())
        return
    from orchestrator.cluster.supervise import Orders
    from orchestrator.cluster.supervise import supervise as run

    orders = Orders(job.model_dump_json(), address, as_json)
    store = Store.open(job.storage.path).child(job.name)
    raise SystemExit(run(orders, store, say_after_another))


def drive() -> None:
    """What a supervised ``train`` starts: the driver, which exits as ``train`` is to."""
    from orchestrator.cluster.driver import Leash

    orders, leash = Leash.taken()
    job = Job.model_validate_json(orders.job_json)
    with leash.told():
        _train(job, orders.address, orders.as_json, leash.holding())


def _train(
    job: Job, address: str | None, as_json: bool, leash: AbstractContextManager[None]
) -> None:
    with _screen(_logs(job), "train") as screen, leash, _session(job, address, screen):
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
def watch(
    address: Annotated[
        str | None,
        typer.Option(help="The cluster; else RAY_ADDRESS, else the one that ray start joined."),
    ] = None,
    cloud: Annotated[
        Literal["auto", "aws", "gcp", "azure", "none"],
        typer.Option(help="Whose machine this is; auto asks the metadata service."),
    ] = "auto",
    metadata_url: Annotated[
        str | None, typer.Option(help="Another metadata service, as in tests.")
    ] = None,
    node_id: Annotated[
        str | None, typer.Option(metavar="HEX", help="Else the Ray node of this machine.")
    ] = None,
) -> None:
    """Drain this machine's Ray node when its cloud announces to take it; run beside each."""
    from orchestrator.cluster.watching import utc, watch_node
    from orchestrator.spot.metadata import METADATA_URL, Metadata

    def say(what: str) -> None:
        # A log on a full disk is no reason to miss a notice.
        with suppress(OSError):
            typer.echo(f"{utc(time.time())} watch: {what}")

    try:
        watch_node(address, node_id, cloud, Metadata(metadata_url or METADATA_URL), say)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@app.command()
def simulate(  # noqa: PLR0913, PLR0917 - each is an option of its own
    job_file: Annotated[
        Path | None, typer.Argument(metavar="JOB", help="For scale.workers and checkpoints.")
    ] = None,
    trace: Annotated[
        list[str] | None,
        typer.Option(help="calm, diurnal, bursty or a CSV file; repeat it for more. Else all."),
    ] = None,
    nodes: Annotated[int, typer.Option(help="Of a shape, at most.")] = 1000,
    hours: Annotated[float, typer.Option(help="Longer files are cut.")] = 24.0,
    seed: Annotated[int, typer.Option(help="Another one, other luck.")] = 0,
    events: Annotated[
        str | None, typer.Option(help="A run's events.jsonl: take its times, and replay it.")
    ] = None,
    measured: Annotated[Path | None, typer.Option(help="Times by hand, as JSON.")] = None,
    price_spot: Annotated[float, typer.Option(help="Of a node for an hour.")] = 0.35,
    price_on_demand: Annotated[float, typer.Option(help="Of a node for an hour.")] = 1.0,
    to: Annotated[Path, typer.Option(help="The picture.")] = Path("simulation.png"),
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Say what a training would get done on machines that come and go, and at what cost."""
    job = _load(job_file, overrides) if job_file else None
    logs = _logs(job) if job else Path.home() / ".cache" / "orchestrator" / "logs"
    with _screen(logs, "simulate") as screen:
        from orchestrator.simulate.command import Wanted, simulate_all
        from orchestrator.storage import Store
        from orchestrator.tables import simulation_tables
        from orchestrator.tracking.events import decode_log
        from orchestrator.tracking.summary import summarise

        folder, _, name = (events or "").rpartition("/")
        log = decode_log(Store.open(folder or ".").read_lines(name)) if events else None
        wanted = Wanted(
            traces=trace, nodes=nodes, hours=hours, seed=seed, spot=price_spot,
            on_demand=price_on_demand, measured=measured, log=log,
            goodput=summarise(log).goodput if log else 0.0, picture=to,
        )  # fmt: skip
        with screen.bar("Simulating") as bar:
            report = simulate_all(wanted, job, bar.move)
        for title, rows in simulation_tables(report):
            screen.show(title, rows)
        screen.say(f"Look at it: {to}")
        if as_json:
            screen.print_json(json.dumps(report.as_json()))


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
