"""What is kept of a search in the store: which trials there are, and what became of each.

A trial's own state is its run's: events, checkpoints, result. So a driver that dies takes
nothing with it that the next one does not find. Written by the driver alone, which holds the
search's lease; the parent that starts drivers reads it.
"""

import json
import time
from collections.abc import Mapping
from typing import Any, Final

from orchestrator.config.frozen import changes, frozen_settings
from orchestrator.errors import ConfigError, StorageError
from orchestrator.search.trials import Trial, trial_of
from orchestrator.storage import Store
from orchestrator.tracking.run_log import newest_step

RESULT: Final = "search.json"
BEST: Final = "best.yaml"
PAGE: Final = "search.html"
_TRIALS: Final = "trials"
_CLOCK: Final = "clock.json"
_JOB: Final = "job.json"


def search_store(storage: str, name: str) -> Store:
    """Where a search keeps its ledger and its results; runs of trials lie beside it."""
    return Store.open(storage).child(f"searches/{name}")


class Ledger:
    """The trials of a search, in the order in which they began.

    Args:
        store: The search's.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        names = [name for name in store.list(_TRIALS) if name.endswith(".json")]
        found = [trial_of(_read(store, name)) for name in names]
        self.trials = {t.name: t for t in sorted(found, key=lambda trial: trial.number)}
        clock = _read(store, _CLOCK) if store.exists(_CLOCK) else {}
        self._hours_before = float(clock.get("hours", 0.0))
        self._started_s = time.monotonic()

    @property
    def hours(self) -> float:
        """That the search has run, over all its drivers, as far as each had noted it."""
        return self._hours_before + (time.monotonic() - self._started_s) / 3600

    def next_number(self) -> int:
        """Of the next trial."""
        return len(self.trials) + 1

    def put(self, trial: Trial) -> None:
        """Keep how a trial stands."""
        self.trials[trial.name] = trial
        self.store.write(f"{_TRIALS}/{trial.name}.json", _encoded(trial.as_json()))
        self.note_hours()

    def look(self, trial: Trial) -> None:
        """Know how a trial stands, until it is kept."""
        self.trials[trial.name] = trial

    def note_hours(self) -> None:
        """Keep how long the search has run."""
        self.store.write(_CLOCK, _encoded({"hours": self.hours}))

    def freeze(self, job: Mapping[str, Any]) -> None:
        """Keep what all trials share, or hold it against what was kept.

        The search itself may change: a wider space or a larger budget goes on from here.

        Raises:
            ConfigError: Something else has changed, each field named with both values.
        """
        asked = json.loads(_encoded(frozen_settings(job)))
        if not self.store.exists(_JOB):
            self.store.write(_JOB, _encoded(asked))
            return
        begun = _read(self.store, _JOB)
        differing = changes(begun, asked)
        if differing:
            raise ConfigError(
                "\n  ".join(["this search was begun with other settings", *differing]),
                f"{self.store.url}/{_JOB}",
                "Choose a new name for the changed search, or change these back",
            )


def steps_done(storage: str, name: str) -> int:
    """Steps of all trials so far, which grows as long as a search gets on; for the parent."""
    try:
        ledger = Ledger(search_store(storage, name))
        return sum(_steps(storage, trial) for trial in ledger.trials.values())
    except StorageError:
        # No news is no progress: the next driver finds out more.
        return 0


def _steps(storage: str, trial: Trial) -> int:
    # An end is a step forward, too: of trials that fail before their first step.
    if trial.has_ended:
        return 1 + (trial.figures.steps if trial.figures else 0)
    return newest_step(Store.open(storage).child(trial.name))


def _encoded(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _read(store: Store, name: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(store.read(name))
    except ValueError as error:
        raise StorageError(
            f"cannot be read: {error}",
            f"{store.url}/{name}",
            "Choose a new name for the search",
        ) from error
