"""A run's journal over a store of its own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.cluster.journal import Journal
from orchestrator.cluster.outcome import Terms
from orchestrator.cluster.roster import Process
from orchestrator.storage import Store
from orchestrator.tracking.events import EventValue

TERMS = Terms(
    job={"name": "demo"},
    index_fingerprint="f1",
    micro_tokens=64,
    allow_mixed=False,
    generation=1,
)
CLASS = {"device": "cpu", "threads": "1"}
Open = Callable[..., Journal]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path))


@pytest.fixture
def open_journal(store: Store) -> Open:
    """A journal over the run's store, as Ray starts it: the first time, or again."""
    made: list[Journal] = []

    def begin(generation: int = 1) -> Journal:
        for one in made:
            # A machine that dies later than the log was written.
            one.empty_slots([])
        made.append(Journal(store, replace(TERMS, generation=generation)))
        return made[-1]

    return begin


@pytest.fixture
def journal(open_journal: Open) -> Journal:
    return open_journal()


def come(journal: Journal, *cells: int, pid: int = 100) -> None:
    for cell in cells:
        journal.admit(cell, Process(f"node{cell}", pid + cell), CLASS)


def told(journal: Journal, *kinds: str) -> list[tuple[EventValue, ...]]:
    """Kinds of events of these kinds, with the cell or step that they are about."""
    return [
        (event["kind"], event.get("cell", event.get("step")))
        for event in journal.read(0)[0]
        if event["kind"] in kinds
    ]
