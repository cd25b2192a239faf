"""Commands about a run on another machine's cluster: submit, attach, status, stop."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.common import LOGS, AsJson, JobFile, Overrides, app, screen_of
from orchestrator.config.load import load_job
from orchestrator.errors import FaultError, InputError
from orchestrator.launch.ports import DASHBOARD
from orchestrator.screen import Screen

if TYPE_CHECKING:
    from orchestrator.cluster.following import Follower, Submitted
    from orchestrator.cluster.parcel import Parcel
    from orchestrator.cluster.submitting import Head
    from orchestrator.config.job import Job

DETACHED = 130
PATIENCE_MIN = 30.0
"""As long as a lost head takes to be missed, and brought up anew."""
LONGEST_S = 60.0
"""How long a stopped job may take to be over."""

Dashboard = Annotated[
    str, typer.Option(help="Where the head's dashboard is reached: this end of a tunnel.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="The cluster's token; else RAY_AUTH_TOKEN, _PATH or ~/.ray/auth_token."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The run's name, from its job.")]
HERE = f"http://127.0.0.1:{DASHBOARD}"


@app.command()
def submit(  # noqa: PLR0913, PLR0917 - each is an option of its own
    job_file: JobFile,
    overrides: Overrides = None,
    address: Dashboard = HERE,
    token_file: TokenFile = None,
    wait: Annotated[bool, typer.Option(help="Follow the run to its end.")] = True,
    supervise: Annotated[
        bool,
        typer.Option(help="While following: submit it again where the head has lost it."),
    ] = True,
    ship_code: Annotated[
        bool, typer.Option(help="Run this checkout's code; else what the cluster has.")
    ] = True,
    patience: Annotated[
        float, typer.Option(help="Minutes that the head may be away while following.")
    ] = PATIENCE_MIN,
    as_json: AsJson = False,
) -> None:
    """Train on a cluster: the same run as train, started through its head's dashboard."""
    import orchestrator
    from orchestrator.cluster.parcel import pack

    job = load_job(job_file, overrides or [])
    code = Path(orchestrator.__file__).parent if ship_code else None
    parcel = pack(job, Path.cwd(), code)
    with screen_of(LOGS, "submit") as screen:
        head = _head(address, token_file, screen)

        def again() -> str:
            return head.submit(parcel, job.name, job.storage.path, as_json=as_json)

        submission = _running(head, job, parcel, screen)
        if submission is None:
            _say_parcel(parcel, screen)
            submission = again()
            screen.say(f"{job.name} is submitted, as {submission}")
        if not wait:
            screen.say(f"orchestrator attach {job.name} follows it")
            return
        follower = _follower(head, submission, screen, patience, as_json=as_json)
        if supervise:
            follower.again = again
            follower.newest_step = _steps_of(job.storage.path, job.name)
        _follow(follower, job.name, screen)


@app.command()
def attach(
    name: Name,
    address: Dashboard = HERE,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Follow a submitted run to its end."""
    with screen_of(LOGS, "attach") as screen:
        head = _head(address, token_file, screen)
        job = _newest(head, name)
        _follow(_follower(head, job.id, screen, PATIENCE_MIN, as_json=as_json), name, screen)


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Else all.")] = None,
    address: Dashboard = HERE,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Say how submitted runs are."""
    with screen_of(LOGS, "status") as screen:
        from orchestrator.tables import submitted_rows

        head = _head(address, token_file, screen)
        jobs = [_newest(head, name)] if name else head.all()
        # A log of events may be long, and in a bucket: of many, only those under way are read.
        figures = [
            {**asdict(job), "step": _newest_step(job) if name or not job.is_over else None}
            for job in jobs
        ]
        for figure in figures:
            screen.show(str(figure["run"]), submitted_rows(figure))
        if not figures:
            screen.say("nothing was submitted to this head")
        if as_json:
            screen.print_json(json.dumps(figures[0] if name else figures))


@app.command()
def stop(name: Name, address: Dashboard = HERE, token_file: TokenFile = None) -> None:
    """End a submitted run; submitting it again goes on from its last checkpoint."""
    with screen_of(LOGS, "stop") as screen:
        head = _head(address, token_file, screen)
        job: Submitted | None = _newest(head, name)
        assert job is not None
        if job.is_over:
            screen.say(f"{name} is over already ({job.state})")
            return
        head.stop(job.id)
        until_s = time.monotonic() + LONGEST_S
        while job is not None and not job.is_over:
            if time.monotonic() > until_s:
                problem = f"{name} is still {job.state} after {LONGEST_S:.0f} s"
                raise FaultError(problem, "stop", f"Look: orchestrator attach {name}")
            time.sleep(1.0)
            job = head.find(job.id)
        screen.say(f"{name} is stopped; submitting it again goes on from the last checkpoint")


def _head(address: str, token_file: Path | None, screen: Screen) -> "Head":
    from orchestrator.cluster.submitting import Head

    head = Head(address, token_file)
    if head.warning is not None:
        screen.say(f"warning: {head.warning}")
    return head


def _newest(head: "Head", name: str) -> "Submitted":
    job = head.newest(name)
    if job is None:
        known = ", ".join(sorted({job.run for job in head.all()})) or "none"
        fix = f"Known to this head: {known}. A new head knows none: submit it again"
        raise InputError(f"no run {name} was submitted", head.address, fix)
    return job


def _running(head: "Head", job: "Job", parcel: "Parcel", screen: Screen) -> str | None:
    """The submission that does already what is asked for.

    Raises:
        InputError: One of that name does something else.
    """
    from orchestrator.cluster.submitting import digest_of

    there = head.newest(job.name)
    if there is None or there.is_over:
        return None
    if there.digest != digest_of(parcel):
        raise InputError(
            f"{job.name} runs already, with another job file (as {there.id})",
            head.address,
            f"Follow it with orchestrator attach {job.name}, or end it with stop {job.name}",
        )
    screen.say(f"{job.name} runs already, as {there.id}")
    return there.id


def _say_parcel(parcel: "Parcel", screen: Screen) -> None:
    what = f"{len(parcel.code)} files of code" if parcel.code else "no code"
    screen.say(f"sent: the job file and {what}, {parcel.num_bytes / 1e6:.1f} MB")
    if parcel.left_out:
        screen.say(f"not sent, for they are no code: {', '.join(parcel.left_out)}")
    if parcel.shared:
        screen.say(f"every machine there must have: {', '.join(parcel.shared)}")


def _follower(
    head: "Head", submission: str, screen: Screen, patience: float, *, as_json: bool
) -> "Follower":
    from orchestrator.cluster.following import Follower

    return Follower(
        jobs=head,
        submission=submission,
        show=_shown_on(screen, as_json=as_json),
        say=lambda text: screen.say(f"-- {text}"),
        patience_s=60.0 * patience,
    )


def _shown_on(screen: Screen, *, as_json: bool) -> Callable[[str], None]:
    def show(line: str) -> None:
        if as_json and line.startswith("{"):
            screen.print_json(line)
        else:
            screen.say(line)

    return show


def _follow(follower: "Follower", name: str, screen: Screen) -> None:
    try:
        code = follower.follow()
    except KeyboardInterrupt:
        screen.say(
            f"detached: {name} goes on. orchestrator attach {name} follows it again, "
            f"orchestrator stop {name} ends it"
        )
        raise SystemExit(DETACHED) from None
    if code:
        raise SystemExit(code)


def _steps_of(storage: str, run: str) -> Callable[[], int]:
    from orchestrator.errors import StorageError
    from orchestrator.storage import Store
    from orchestrator.tracking.run_log import newest_step

    def steps() -> int:
        # A laptop may have no leave to read the bucket: then no progress is seen from here.
        with suppress(StorageError, ImportError):
            return newest_step(Store.open(storage).child(run))
        return 0

    return steps


def _newest_step(job: "Submitted") -> int:
    return _steps_of(job.storage, job.run)() if job.storage else 0
