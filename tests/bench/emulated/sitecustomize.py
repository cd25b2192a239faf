"""A base model that is slow to load, and steps that take the time of an accelerator's.

Python imports this file by itself in every process that has its folder on ``PYTHONPATH``: so
every worker of a benchmark's cluster, ours and stock alike, is slowed down in the same way, and
nothing in the product knows of it.

Set in the environment:

* ``BENCH_LOAD_S``: seconds that ``load_base`` sleeps before the base model is there.
* ``BENCH_MICRO_S``: seconds that a micro-batch takes at least, by sleeping after its work.
* ``BENCH_NO_WORK``: with any value, a micro-batch is only slept: its gradient is made up. The
  processors are then idle in a step, as they are where an accelerator computes.
"""

import importlib.abc
import importlib.machinery
import os
import sys
import time
import types
from collections.abc import Sequence
from typing import Any

LOADING, LEARNING = "orchestrator.models.loading", "orchestrator.train.learner"


def slow_down_loading(module: Any) -> None:
    """Let the base model take its time."""
    load_base, seconds = module.load_base, float(os.environ["BENCH_LOAD_S"])

    def slow_load_base(*args: Any, **kwargs: Any) -> Any:
        time.sleep(seconds)
        return load_base(*args, **kwargs)

    module.load_base = slow_load_base


def slow_down_learning(module: Any) -> None:
    """Let a micro-batch take its time."""
    learner, seconds = module.VisionLanguageLearner, float(os.environ["BENCH_MICRO_S"])
    backward = make_up if "BENCH_NO_WORK" in os.environ else learner.backward

    def slow_backward(self: Any, batch: Any) -> float:
        end_s = time.monotonic() + seconds
        loss: float = backward(self, batch)
        time.sleep(max(0.0, end_s - time.monotonic()))
        return loss

    learner.backward = slow_backward


def make_up(learner: Any, batch: Any) -> float:
    """Leave a gradient that depends on the micro-batch's address and on nothing else."""
    for parameter in learner.model.parameters():
        if parameter.requires_grad:
            parameter.grad = parameter.detach().new_full(
                parameter.shape, 1e-3 * (1 + batch.address.micro)
            )
    return float(batch.label_tokens)


CHANGES = {
    module: change
    for module, variable, change in (
        (LOADING, "BENCH_LOAD_S", slow_down_loading),
        (LEARNING, "BENCH_MICRO_S", slow_down_learning),
    )
    if variable in os.environ
}


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules to change where they are."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in CHANGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = Changing(spec.loader)
        return spec


class Changing(importlib.abc.Loader):
    """Loads a module, and changes it."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        self._loader.exec_module(module)
        CHANGES[module.__name__](module)


if CHANGES:
    sys.meta_path.insert(0, Finder())
