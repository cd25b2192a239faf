"""Commands about clusters: their files, rendered and checked, before anybody pays for one."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from orchestrator.cli.common import AsJson, app
from orchestrator.launch.loading import DEFAULT

cluster = typer.Typer(
    no_args_is_help=True,
    help="Files that bring a cluster up on AWS, Google Cloud, Azure or Kubernetes.",
)
app.add_typer(cluster, name="cluster")

DescriptionFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The description of the cluster (YAML).")
]


@cluster.command()
def render(
    to: Annotated[
        Literal["aws", "gcp", "azure", "kuberay"], typer.Option(help="Which launcher's file.")
    ],
    file: DescriptionFile = DEFAULT,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Else it is printed.")
    ] = None,
    job: Annotated[
        bool, typer.Option("--job", help="KubeRay: a RayJob, whose cluster ends with it.")
    ] = False,
) -> None:
    """Render a cluster's description as the file of a launcher."""
    from orchestrator.errors import ConfigError
    from orchestrator.launch.loading import load_description
    from orchestrator.launch.rendering import render as render_text

    if job and to != "kuberay":
        raise ConfigError("is for KubeRay only", f"--job with --to {to}", "Leave it out")
    text = render_text(load_description(file), to, file, "job" if job else "cluster")
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        raise ConfigError(problem, str(output), "Name a file that can be written") from error


@cluster.command()
def check(
    file: Annotated[
        Path, typer.Argument(help="A description, a file for ray up, or Kubernetes files.")
    ],
    crds: Annotated[
        Path | None,
        typer.Option(help="KubeRay's custom resource definitions: a file, or their folder."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say all that is wrong with a cluster's file, each with its remedy."""
    from orchestrator.cluster.launching import check as look

    checked = look(file, crds)
    for finding in checked.findings:
        typer.echo(f"error: {finding.line(str(file))}", err=True)
    for note in checked.notes:
        typer.echo(f"note: {file}: {note}", err=True)
    if not checked.findings:
        typer.echo(f"{file}: nothing is wrong with this {checked.kind} file", err=True)
    if as_json:
        found = [finding.as_json(str(file)) for finding in checked.findings]
        typer.echo(
            json.dumps({"kind": checked.kind, "findings": found, "notes": checked.notes})
        )
    if checked.findings:
        raise SystemExit(2)


@cluster.command()
def roles(
    file: DescriptionFile = DEFAULT,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A folder; files there are replaced.")
    ] = Path("cloud/aws"),
) -> None:
    """Write narrow AWS policies for who launches, for the head and for workers."""
    from orchestrator.errors import ConfigError
    from orchestrator.launch.iam import policy_files
    from orchestrator.launch.loading import load_description

    description = load_description(file)
    if description.aws is None:
        raise ConfigError("there is no such section", f"{file}: aws", f"Compare {DEFAULT}")
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in policy_files(description, description.aws).items():
            (output / name).write_text(text, encoding="utf-8")
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        raise ConfigError(problem, str(output), "Name a folder") from error
