"""The commands: the only files that print, parse arguments or exit."""

import typer

from orchestrator.cli import clusters, data, machines, runs, search, submitting
from orchestrator.cli.common import app
from orchestrator.cli.driving import drive
from orchestrator.errors import InputError, OrchestratorError

COMMANDS = (data, runs, search, submitting, machines, clusters)
"""Where the commands are; importing them puts them into ``app``."""

__all__ = ["COMMANDS", "drive", "main"]


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
