"""What all commands share: their options, a quiet terminal, a session with Ray."""

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from orchestrator.config.job import Job
from orchestrator.config.load import load_job
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.screen import Bar, Screen, say_after_another
from orchestrator.tables import EVENT_LINES

if TYPE_CHECKING:
    from orchestrator.cluster.prepared import Prepared
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

Supervised = Annotated[
    bool, typer.Option(help="Start the driver again when it dies of a fault.")
]
LOGS = Path.home() / ".cache" / "orchestrator" / "logs"
"""Of commands that have no folder of a run to write to."""


@contextmanager
def screen_of(folder: Path, command: str) -> Iterator[Screen]:
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


def logs_of(job: Job) -> Path:
    """Where the logs of a job's commands go."""
    return LOGS if "://" in job.storage.path else Path(job.storage.path) / "logs"


def under_supervision(
    command: str, job: Job, address: str | None, as_json: bool, progress: Callable[[], int]
) -> NoReturn:
    """Have a driver do a command, again after each fault; exit as it is to exit.

    Args:
        command: What was typed.
        job: The job as it is to be run.
        address: Of a cluster.
        as_json: Whether the result is printed.
        progress: The newest step that was ever done.
    """
    from orchestrator.cluster.supervise import Orders, supervise

    orders = Orders(job.model_dump_json(), address, as_json, command=command)
    raise SystemExit(supervise(orders, progress, say_after_another))


def load(job_file: Path, overrides: list[str] | None) -> Job:
    """The job as it is to be run."""
    return load_job(job_file, overrides or []).resolved(Path.cwd())


@contextmanager
def session(
    job: Job, address: str | None, screen: Screen, cpus: int | None = None
) -> Iterator[None]:
    """A connection to Ray, with a word while it is made.

    Args:
        job: What is to be done.
        address: Of a running cluster.
        screen: Where the word appears.
        cpus: That a private cluster offers at least; None: a worker's share for the least
            workers, and one more to render and index with.
    """
    from orchestrator.cluster.session import open_session

    cpus = cpus or job.scale.workers[0] * job.scale.cpus_per_worker + 1
    with ExitStack() as stack:
        with screen.console.status("Starting Ray"):
            stack.enter_context(open_session(address, cpus=cpus))
        yield


def prepare_job(job: Job, screen: Screen) -> "Prepared":
    """Index a job's data, with a bar."""
    from orchestrator.cluster.prepare import prepare

    with screen.bar("Indexing") as bar:
        return prepare(job, progress=lambda done, what: bar.move(done, note=what))


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


def read_events(url: str | None) -> "list[Event] | None":
    """A run's log by the path or URL of its file; None for None."""
    if url is None:
        return None
    from orchestrator.storage import Store
    from orchestrator.tracking.events import decode_log

    folder, _, name = url.rpartition("/")
    return decode_log(Store.open(folder or ".").read_lines(name))
