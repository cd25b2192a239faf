"""Commands about data: index, group, plan."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from orchestrator.cli.common import (
    LOGS,
    Address,
    AsJson,
    JobFile,
    Overrides,
    app,
    load,
    logs_of,
    prepare_job,
    read_events,
    screen_of,
    session,
)
from orchestrator.tables import (
    LARGEST_SHOWN,
    bad_row_lines,
    cost_tables,
    finding_lines,
    group_rows,
    index_figures,
    price_tables,
)


@app.command()
def index(
    job_file: JobFile,
    overrides: Overrides = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Build the index, and print every sample that cannot be used, with the reason."""
    job = load(job_file, overrides)
    with screen_of(logs_of(job), "index") as screen, session(job, address, screen):
        from orchestrator.data.lint.inspection import inspect

        prepared = prepare_job(job, screen)
        figures: dict[str, Any] = {
            part: index_figures(found) for part, found in prepared.indexes.items()
        }
        for part, found in prepared.indexes.items():
            rows = ((name, str(value)) for name, value in figures[part].items())
            screen.show(f"index of {part}", rows)
            for line in bad_row_lines(found):
                screen.say(line)
        inspection = inspect(job, prepared.indexes, prepared.micro_tokens)
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
    with screen_of(LOGS, "group") as screen:
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
def plan(  # noqa: PLR0913, PLR0917 - each is an option of its own
    job_file: JobFile,
    overrides: Overrides = None,
    address: Address = None,
    cluster: Annotated[
        Path | None,
        typer.Option(help="A cluster's file with prices: forecast hours and money too."),
    ] = None,
    step_s: Annotated[
        float | None, typer.Option(help="Seconds of a step on one worker, for --cluster.")
    ] = None,
    events: Annotated[
        str | None, typer.Option(help="A run's events.jsonl, for --cluster: its own times.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a training would do, without training: steps, tokens, memory, time and money."""
    job = load(job_file, overrides)
    with screen_of(logs_of(job), "plan") as screen, session(job, address, screen):
        from orchestrator.cluster.costing import cost
        from orchestrator.cluster.forecast import forecast
        from orchestrator.cluster.pricing import price

        prepared = prepare_job(job, screen)
        figures = asdict(forecast(prepared))
        costs = cost(prepared)
        screen.show(
            f"plan of {job.name}", ((name, str(value)) for name, value in figures.items())
        )
        for title, rows in cost_tables(costs):
            screen.show(title, rows)
        log = read_events(events)
        priced = price(prepared, cluster, step_s, log) if cluster else []
        for title, rows in price_tables(priced):
            screen.show(title, rows)
        if as_json:
            memory = {**asdict(costs), "fits": costs.fits}
            money = [asdict(one) for one in priced]
            screen.print_json(json.dumps({**figures, "memory": memory, "money": money}))
