"""What Ray Tune starts for a trial: an actor on the head that drives one training.

A class and not a function: Tune then asks it how it stands, within a bounded time, and tells it
when it is not wanted any more. A function would be found blocked in its report, or be killed.
"""

from typing import TYPE_CHECKING, Any

import ray
from ray import tune

from orchestrator.cluster.cell import find_actor
from orchestrator.cluster.searching.run import Report, TrialRun
from orchestrator.cluster.session import quieten

if TYPE_CHECKING:
    from orchestrator.cluster.searching.spec import TrialSpec

SPEC_S = 60.0
"""How long a trial may wait to hear what it is to train."""
WHOLE = 1000
"""What ``progress`` is when a training is over. Trials differ in steps, but not in this."""


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """Tune's side of a trial."""

    def setup(self, config: dict[str, Any]) -> None:
        quieten()
        desk = find_actor(config["desk"])
        [spec] = ray.get(desk.get.remote(config["trial"]), timeout=SPEC_S)
        told: TrialSpec = ray.get(spec, timeout=SPEC_S)
        self._run = TrialRun(told.prepared(), until=told.until, begun_at=told.begun_at)

    def step(self) -> dict[str, Any]:
        return result_of(self._run.next_report())

    def cleanup(self) -> None:
        if hasattr(self, "_run"):
            self._run.stop()

    # Tune saves trials that it pauses; a run keeps its own checkpoints.
    def save_checkpoint(self, checkpoint_dir: str) -> None:
        del checkpoint_dir

    def load_checkpoint(self, checkpoint: Any) -> None:  # noqa: ANN401 - never written
        del checkpoint


def result_of(report: Report) -> dict[str, Any]:
    """A report as Tune takes it.

    ``progress``, by which a scheduler compares, is there only with a fresh measurement.
    """
    result: dict[str, Any] = {"report": report.as_json(), "done": report.has_ended}
    figures = report.figures
    if report.measured_now or report.status == "finished":
        result["progress"] = int(WHOLE * figures.progress)
        result |= {"loss": figures.loss, "accuracy": figures.accuracy}
    return result
