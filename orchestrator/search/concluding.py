"""How a search ends: the best job as a file, everything as JSON, and a page to look at."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from orchestrator.config.job import Job
from orchestrator.search.budget import Spent
from orchestrator.search.effects import Effect
from orchestrator.search.ledger import BEST, PAGE, RESULT, Ledger
from orchestrator.search.lineage import told_lineage
from orchestrator.search.naming import told
from orchestrator.search.objectives import TITLES, front_of, measured
from orchestrator.search.page import Findings, effects_of, page
from orchestrator.search.space import job_with
from orchestrator.search.trials import Trial
from orchestrator.storage import Store
from orchestrator.train.manifest import read_manifest


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a search has found."""

    folder: str
    """Where its files are."""
    trials: tuple[Trial, ...]
    front: tuple[Trial, ...]
    """Those that no other beats, the best first."""
    effects: tuple[Effect, ...]
    """On the first objective."""
    spent: Spent
    files: dict[str, bytes]

    @property
    def best(self) -> Trial | None:
        """Which the objectives decide for."""
        return self.front[0] if self.front else None

    def figures(self) -> dict[str, float]:
        """What the search's record says in numbers."""
        counts = Counter(trial.status for trial in self.trials)
        found = {f"trials.{status}": float(count) for status, count in counts.items()}
        found |= {"steps": self.spent.steps, "device_hours": self.spent.device_hours}
        if self.best is not None and self.best.figures is not None:
            figures = self.best.figures
            values = {objective: measured(figures, objective) for objective in TITLES}
            found |= {f"best.{name}": v for name, v in values.items() if v is not None}
        return found

    def keep(self, store: Store) -> None:
        """Write the files; the one that says that the search is over comes last."""
        for name in (BEST, PAGE, RESULT):
            if name in self.files:
                store.write(name, self.files[name])

    def as_json(self) -> dict[str, Any]:
        """What ``search.json`` says, but for the search's settings."""
        return {
            "folder": self.folder,
            "best": self.best and self.best.as_json(),
            "best_job": f"{self.folder}/{BEST}" if self.best else None,
            "page": f"{self.folder}/{PAGE}",
            "front": [trial.name for trial in self.front],
            "spent": {
                "trials": self.spent.trials,
                "steps": self.spent.steps,
                "hours": self.spent.hours,
                "device_hours": self.spent.device_hours,
            },
            "effects": [
                {
                    "field": effect.field,
                    "levels": [
                        {
                            "value": level.label,
                            "trials": level.trials,
                            "mean": level.mean,
                            "interval": None if level.low is None else [level.low, level.high],
                        }
                        for level in effect.levels
                    ],
                }
                for effect in self.effects
            ],
            "trials": [trial.as_json() for trial in self.trials],
        }


def conclude(job: Job, ledger: Ledger) -> Conclusion:
    """Decide, and write down why.

    Args:
        job: The search's job.
        ledger: Its trials.
    """
    assert job.search is not None
    trials = tuple(ledger.trials.values())
    objectives = job.search.objectives
    front = tuple(front_of(trials, objectives))
    findings = Findings(job.name, job.search, trials, front)
    effects = tuple(effects_of(findings, objectives[0]))
    spent = Spent.on(trials, ledger.hours)
    files = {PAGE: page(findings, spent).encode()}
    if front:
        files[BEST] = best_job(job, front[0], trials).encode()
    bare = Conclusion(ledger.store.url, trials, front, effects, spent, files)
    settings = job.search.model_dump(mode="json")
    files[RESULT] = (
        json.dumps({"search": settings, **bare.as_json()}, indent=1) + "\n"
    ).encode()
    return bare


def best_job(job: Job, best: Trial, trials: Sequence[Trial]) -> str:
    """The best trial's job as a file that ``orchestrator train`` runs as it is."""
    assert job.search is not None
    assert best.figures is not None
    plain = job_with(job, best.values, name=f"{job.name[:95]}-best")
    if plain.train.micro_tokens == "auto":
        # Picked for the devices that were there; another machine might pick another.
        picked = plain.train.model_copy(update={"micro_tokens": _micro_tokens(job, best)})
        plain = plain.model_copy(update={"train": picked})
    settings = plain.model_dump(mode="json", exclude_defaults=True, exclude={"search"})
    reached = ", ".join(
        f"{TITLES[objective]} {measured(best.figures, objective):.4g}"
        for objective in job.search.objectives
    )
    lines = [
        f"# The best of the search {job.name}: {told(best.values)}",
        f"# {reached}. As {best.name} it ended with weights of SHA-256",
        f"# {best.weights_sha256}, and so it will again: orchestrator train {BEST}",
    ]
    bred = told_lineage(best, trials)
    if bred:
        lines[2:] = [
            f"# {best.weights_sha256}: {bred}.",
            "# These are its last values: trained with them alone, other weights come of it. "
            "The run has its adapter.",
        ]
    return (
        "\n".join(lines) + "\n" + yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    )


def _micro_tokens(job: Job, best: Trial) -> int:
    manifest = read_manifest(Store.open(job.storage.path).child(best.name))
    assert manifest is not None, "a trial that finished has a manifest"
    return manifest.micro_tokens
