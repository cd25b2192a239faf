"""Ray Tune's side of a search: it starts trials, schedules them, and starts again what died.

Tune copies and pickles what it is given. So it is given a word by which the stage is found, and
keeps nothing itself: what a search knows is in its ledger, and each run in its own store.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from orchestrator.cluster.internals import HEAD_RESOURCE
from orchestrator.cluster.searching.spec import TrialSpec
from orchestrator.cluster.searching.stage import CUT_SHORT, Leg, Stage
from orchestrator.cluster.searching.trial import WHOLE, TrialActor
from orchestrator.config.search import Objective
from orchestrator.errors import FaultError
from orchestrator.search.objectives import IS_BETTER_HIGH
from orchestrator.search.trials import Trial, TrialFigures
from orchestrator.tracking.summary import EvalFigures

DEATHS = 3
"""How often the process that drives a trial may die: its training goes on from its
checkpoint."""
DESK_S = 60.0
"""How long the desk may take to take a trial's papers."""
_SETTINGS = {
    # What comes between two measurements has no objective in it.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Its log files and tables are for others: the ledger and the table are ours.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    # Ctrl-C means what it means in all commands.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # A trial that is stopped has as long to clear up as its training takes at most.
    "TUNE_FORCE_TRIAL_CLEANUP_S": "30",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
}


@dataclass
class _Tuned:
    """What the parts of one call of Tune share."""

    stage: Stage
    desk: Any
    desk_name: str
    names: dict[str, str]
    """Of trials, by Tune's id."""


_TUNED: dict[str, _Tuned] = {}


def run_trials(stage: Stage, desk: Any, desk_name: str) -> None:  # noqa: ANN401 - an actor
    """Run trials until there is nothing more to try, or the budget is spent.

    Raises:
        FaultError: Tune itself gave up.
    """
    os.environ.update(_SETTINGS)
    _TUNED[desk_name] = _Tuned(stage, desk, desk_name, {})
    resources = tune.PlacementGroupFactory([{HEAD_RESOURCE: 0.001}])
    try:
        with tempfile.TemporaryDirectory(prefix="orchestrator-search-") as folder:
            tuner = tune.Tuner(
                tune.with_resources(TrialActor, resources),
                tune_config=tune.TuneConfig(
                    search_alg=_Points(desk_name),
                    scheduler=_scheduler(stage),
                    num_samples=-1,
                    reuse_actors=False,
                ),
                run_config=tune.RunConfig(
                    name="search",
                    storage_path=folder,
                    verbose=0,
                    failure_config=tune.FailureConfig(max_failures=DEATHS),
                    callbacks=[_Told(desk_name)],
                    stop=_Enough(desk_name),
                ),
            )
            tuner.fit()
    except tune.TuneError as error:
        raise FaultError(
            f"Ray Tune gave up: {str(error).splitlines()[0]}",
            "cluster.searching",
            "Run the same command again: it goes on from where its trials are",
        ) from error
    finally:
        del _TUNED[desk_name]
    _note_cut_short(stage)


def _scheduler(stage: Stage) -> TrialScheduler:
    config = stage.config
    if config.scheduler != "asha":
        # A population is bred by the stage, for Tune's own would breed by who was first.
        return FIFOScheduler()
    first = config.objectives[0]
    scheduler = ASHAScheduler(
        time_attr="progress",
        metric=first,
        mode="max" if IS_BETTER_HIGH[first] else "min",
        max_t=WHOLE,
        grace_period=max(1, int(WHOLE * config.asha.first)),
        reduction_factor=config.asha.keep_one_in,
    )
    for trial in stage.ledger.trials.values():
        if trial.status in ("finished", "stopped"):
            _tell_again(scheduler, trial, stage.measured(trial), first)
    return scheduler


def _tell_again(
    scheduler: TrialScheduler, trial: Trial, measured: Sequence[EvalFigures], first: Objective
) -> None:
    """Let a new scheduler know how trials of an earlier driver stood, and when."""
    assert trial.figures is not None
    # All that it looks at is by what name to remember it.
    remembered = SimpleNamespace(trial_id=trial.name)
    scheduler.on_trial_add(None, remembered)
    for found in measured:
        progress = int(WHOLE * found.step / max(1, trial.figures.planned_steps))
        value = found.loss if first == "loss" else found.accuracy
        scheduler.on_trial_result(None, remembered, {"progress": progress, first: value})


def _note_cut_short(stage: Stage) -> None:
    """Tune says nothing of trials that it ends all at once."""
    reason = stage.cut_short() or f"{CUT_SHORT} of the search is spent"
    for trial in list(stage.ledger.trials.values()):
        if trial.status == "running":
            stage.ended(replace(trial, status="stopped", reason=reason))


class _Points(Searcher):  # type: ignore[misc]
    """Hands out what the stage gives; None while there is no room."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self._word = word

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        tuned = _TUNED[self._word]
        found = tuned.stage.next()
        if isinstance(found, Leg):
            name = found.prepared.job.name
            spec = ray.put(TrialSpec.of(found.prepared, found.until, found.begun_at))
            ray.get(tuned.desk.put.remote(name, [spec]), timeout=DESK_S)
            tuned.names[trial_id] = name
            return {"trial": name, "desk": self._word}
        return None if found == "wait" else str(Searcher.FINISHED)

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,
        error: bool = False,  # noqa: FBT001, FBT002 - Tune's signature
    ) -> None:
        """The callback hears of it, too, and with more words."""

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).write_text("")

    def restore(self, checkpoint_path: str) -> None:
        """There is nothing to restore."""


class _Told(tune.Callback):  # type: ignore[misc]
    """Hands on what becomes of trials. Tune names all that it tells."""

    def __init__(self, word: str) -> None:
        self._word = word

    def on_step_end(self, **told: Any) -> None:  # noqa: ANN401 - Tune's own
        del told
        _TUNED[self._word].stage.look()

    def on_trial_result(self, **told: Any) -> None:  # noqa: ANN401 - Tune's own
        tuned, name = self._of(told)
        report = told["result"]["report"]
        tuned.stage.stands(name, TrialFigures(**report["figures"]), report["note"])

    def on_trial_complete(self, **told: Any) -> None:  # noqa: ANN401 - Tune's own
        tuned, name = self._of(told)
        report = told["trial"].last_result["report"]
        figures = TrialFigures(**report["figures"])
        status, reason = report["status"], report["reason"]
        if status == "paused":
            tuned.stage.paused(name, figures)
            return
        if status == "running":
            # It would have gone on: the scheduler has ended it.
            status = "stopped"
            reason = f"behind the others at {figures.progress:.0%} of its steps"
        ended = replace(
            tuned.stage.ledger.trials[name],
            status=status,
            reason=reason,
            figures=figures,
            weights_sha256=report["weights_sha256"],
        )
        tuned.stage.ended(ended)

    def on_trial_error(self, **told: Any) -> None:  # noqa: ANN401 - Tune's own
        tuned, name = self._of(told)
        reason = f"what drives it died {DEATHS + 1} times: {_last_line(told['trial'])}"
        before = tuned.stage.ledger.trials[name]
        tuned.stage.ended(replace(before, status="failed", reason=reason))

    def _of(self, told: dict[str, Any]) -> tuple[_Tuned, str]:
        tuned = _TUNED[self._word]
        return tuned, tuned.names[told["trial"].trial_id]


def _last_line(trial: Any) -> str:  # noqa: ANN401 - Tune's own
    lines = [line for line in str(trial.get_error() or "no word").splitlines() if line.strip()]
    return lines[-1].strip()[:200]


class _Enough(Stopper):  # type: ignore[misc]
    """Ends everything when the budget is spent."""

    def __init__(self, word: str) -> None:
        self._word = word

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        del trial_id, result
        return False

    def stop_all(self) -> bool:
        return _TUNED[self._word].stage.cut_short() is not None
