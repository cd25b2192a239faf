"""Commands about machines that come and go: watch, simulate, demo."""

import json
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from orchestrator.cli.common import (
    LOGS,
    AsJson,
    Overrides,
    app,
    follow,
    load,
    logs_of,
    read_events,
    screen_of,
)
from orchestrator.tables import demo_rows


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
    job = load(job_file, overrides) if job_file else None
    logs = logs_of(job) if job else LOGS
    with screen_of(logs, "simulate") as screen:
        from orchestrator.simulate.command import Wanted, simulate_all
        from orchestrator.tables import simulation_tables
        from orchestrator.tracking.summary import summarise

        log = read_events(events)
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
    job = load(job_file, None)
    with screen_of(folder / "logs", "demo") as screen:
        from orchestrator.cluster.demo import run_demo

        report = run_demo(job, folder.absolute(), screen, partial(follow, screen))
        screen.show("the demo", demo_rows(report))
        if as_json:
            screen.print_json(json.dumps(report.as_json()))
