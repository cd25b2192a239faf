"""The commands: the only files that print, parse arguments or exit."""

import typer

from orchestrator.cli import data, machines, runs, submitting
from orchestrator.cli.common import app
from orchestrator.errors import InputError, OrchestratorError

COMMANDS = (data, runs, submitting, machines)
"""Where the commands are; importing them puts them into ``app``."""

drive = runs.drive


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
