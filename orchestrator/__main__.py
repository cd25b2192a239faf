"""``python -m orchestrator``: the commands, where no script of theirs is installed."""

from orchestrator.cli import main

main()
