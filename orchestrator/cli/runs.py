"""Commands about runs: train, evaluate, export, record."""

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.common import (
    LOGS,
    Address,
    AsJson,
    JobFile,
    Overrides,
    Supervised,
    app,
    follow,
    load,
    logs_of,
    prepare_job,
    screen_of,
    session,
    under_supervision,
)
from orchestrator.config.job import Job
from orchestrator.storage import Store
from orchestrator.tables import answer_rows, train_rows


@app.command()
def train(
    job_file: JobFile,
    overrides: Overrides = None,
    address: Address = None,
    as_json: AsJson = False,
    supervise: Supervised = True,
) -> None:
    """Train, taking up whatever of the run is already there."""
    job = load(job_file, overrides)
    if not supervise:
        run_train(job, address, as_json, nullcontext())
        return
    from orchestrator.tracking.run_log import newest_step

    store = Store.open(job.storage.path).child(job.name)
    under_supervision("train", job, address, as_json, lambda: newest_step(store))


def run_train(
    job: Job, address: str | None, as_json: bool, leash: AbstractContextManager[None]
) -> None:
    """Train, as the driver."""
    with screen_of(logs_of(job), "train") as screen, leash, session(job, address, screen):
        from orchestrator.cluster.training import train as run

        prepared = prepare_job(job, screen)
        with screen.bar("Training", prepared.num_steps("train")) as bar:
            result = run(prepared, follow(screen, bar))
        if result.was_finished:
            screen.say(f"{job.name} is finished already; choose a new name to train anew")
        if result.record_problem is not None:
            screen.say(f"warning: MLflow lacks a part of this run: {result.record_problem}")
        screen.show(job.name, train_rows(result))
        if as_json:
            screen.print_json(json.dumps(result.as_json()))


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
    job = load(job_file, overrides)
    with screen_of(logs_of(job), "evaluate") as screen, session(job, address, screen):
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
    job = load(job_file, overrides)
    with screen_of(logs_of(job), "export") as screen:
        from orchestrator.train.result import export_run

        files = export_run(job, to, merged=merged)
        what = "the merged model" if merged else "the adapter"
        screen.say(f"{what} is in {to} ({len(files)} files)")
        if as_json:
            screen.print_json(json.dumps({"folder": str(to), "files": files}))


@app.command()
def record(
    runs: Annotated[
        str, typer.Argument(metavar="RUNS", help="Folder or bucket of runs: storage.path.")
    ],
    tracking_uri: Annotated[
        str, typer.Option(help="MLflow's, as tracking.uri.")
    ] = "sqlite:///mlflow.db",
    wait_s: Annotated[
        float, typer.Option(help="How long a server may take to start, in seconds.")
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Give MLflow all runs that are over, from their own events."""
    with screen_of(LOGS, "record") as screen:
        from orchestrator.cluster.rerecording import rerecord

        found = rerecord(Store.open(runs), tracking_uri, wait_s=wait_s, say=screen.say)
        if as_json:
            screen.print_json(json.dumps([asdict(one) for one in found]))
