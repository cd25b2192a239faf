"""The ``search`` section: which settings to try, how, and what makes one the best."""

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    Discriminator,
    Field,
    PositiveFloat,
    PositiveInt,
    Tag,
    model_validator,
)

from orchestrator.config.section import Section

Objective: TypeAlias = Literal[
    "loss", "accuracy", "peak_memory", "samples_per_s", "device_hours"
]
MEASURED_HELD_OUT = ("loss", "accuracy")
"""Objectives that are found on held-out data, and known while a training is under way."""
CHANGEABLE = (
    "lora.dropout",
    "train.learning_rate",
    "train.max_grad_norm",
    "train.schedule",
    "train.warmup_fraction",
    "train.weight_decay",
)
"""Fields that may change in mid-run: neither the order of samples nor the shape of what is
trained depends on them."""

Number: TypeAlias = int | float


class Span(Section):
    """A range of numbers to draw from, both ends in it: one of the two."""

    range: tuple[Number, Number] | None = None
    """Least and most; each number in between is as likely. Of a whole-number field, whole."""

    log: tuple[Number, Number] | None = None
    """Least and most; each order of magnitude in between is as likely."""

    @model_validator(mode="after")
    def _ends_make_a_range(self) -> Self:
        given = [ends for ends in (self.range, self.log) if ends is not None]
        if len(given) != 1:
            raise ValueError("write either range: [least, most] or log: [least, most]")
        least, most = given[0]
        if least >= most:
            raise ValueError(f"the least ({least}) is not below the most ({most})")
        if self.log is not None and least <= 0:
            raise ValueError(f"log: the least ({least}) has to be above 0")
        return self

    @property
    def ends(self) -> tuple[Number, Number]:
        """Least and most."""
        ends = self.range or self.log
        assert ends is not None
        return ends


def _how_many(given: object) -> str:
    return "many" if isinstance(given, list | tuple) else "one"


Choices: TypeAlias = Annotated[tuple[Any, ...], Field(min_length=1)]
Axis: TypeAlias = Annotated[
    Annotated[Span, Tag("one")] | Annotated[Choices, Tag("many")], Discriminator(_how_many)
]
"""What one field may be: a list of values, or a range."""


class AshaConfig(Section):
    """When ``scheduler: asha`` looks who is worth going on with."""

    first: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.125
    """Share of a training after which it is held against the others for the first time."""

    keep_one_in: Annotated[int, Field(ge=2)] = 3
    """Of so many trainings one goes on, each time; the next look comes after so many times as
    long."""


class PbtConfig(Section):
    """How ``scheduler: pbt`` breeds."""

    members: Annotated[int, Field(ge=2)] = 4
    """Trainings side by side, each with values of its own, drawn from the space."""

    replace: Annotated[float, Field(gt=0.0, le=0.5)] = 0.25
    """Share of them that is given up at each measurement, at least one; as many of the best go
    on twice."""

    resample: Annotated[float, Field(ge=0.0, le=1.0)] = 0.25
    """How likely a copy's value is drawn anew; otherwise it is a fifth more or less, or the
    next one in its list."""


class SearchBudget(Section):
    """Where a search ends; what is spent first counts. null: no limit."""

    trials: PositiveInt | None = None
    """Trainings begun. A grid has as many as it has combinations, the others need a number."""

    steps: PositiveInt | None = None
    """Optimizer steps of all trainings together."""

    hours: PositiveFloat | None = None
    """Of the search, while it runs."""

    device_hours: PositiveFloat | None = None
    """Of all workers of all trainings together."""


class SearchConfig(Section):
    """Many trainings over one index, and which of them is the best. Only for search."""

    space: Annotated[
        dict[str, Axis],
        Field(
            min_length=1,
            examples=[{"images.max_images": [2, 4], "lora.dropout": {"range": [0, 0.1]}}],
        ),
    ]
    """Fields of the job, as section.field, and what each may be: a list of values, or a range
    as {range: [least, most]} or {log: [least, most]}."""

    objectives: Annotated[tuple[Objective, ...], Field(min_length=1)] = ("loss",)
    """What counts: loss and accuracy on the held-out data, peak_memory, samples_per_s,
    device_hours. Of several, the first decides among those that no other beats in all."""

    searcher: Literal["grid", "random", "tpe", "nsga2"] = "grid"
    """grid tries all combinations of lists; random draws; tpe and nsga2 (Optuna's) draw where
    earlier trainings were good, nsga2 for several objectives."""

    scheduler: Literal["none", "asha", "pbt"] = "none"
    """asha ends trainings early that are behind others; pbt (population-based training) gives
    up the worst at each measurement and goes on with varied copies of the best. Both go by the
    first objective, each time that it is measured (train.eval_every_steps)."""

    asha: AshaConfig = AshaConfig()
    """For ``scheduler: asha``."""

    pbt: PbtConfig = PbtConfig()
    """For ``scheduler: pbt``."""

    budget: SearchBudget = SearchBudget()
    """Where the search ends."""

    concurrent: PositiveInt | None = None
    """Trainings at once, at most; null: as many as the cluster has room for, each with its
    scale.workers. More are begun when nodes come."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of what is drawn. Trainings have the job's own train.seed, and so the same order of
    samples."""

    @model_validator(mode="after")
    def _searcher_can_do_it(self) -> Self:
        spans = [name for name, axis in self.space.items() if isinstance(axis, Span)]
        if self.searcher == "grid" and spans:
            raise ValueError(
                f"searcher: a grid needs a list for {spans[0]}: write one, or take random"
            )
        if self.scheduler == "pbt":
            return self
        if self.searcher != "grid" and self.budget.trials is None:
            raise ValueError(f"searcher: {self.searcher} needs a number in budget.trials")
        if self.searcher == "nsga2" and len(self.objectives) < 2:
            raise ValueError("searcher: nsga2 needs several objectives: name them, or take tpe")
        return self

    @model_validator(mode="after")
    def _objectives_make_sense(self) -> Self:
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError("objectives: one is named twice")
        if self.scheduler != "none" and self.objectives[0] not in MEASURED_HELD_OUT:
            raise ValueError(
                f"scheduler: {self.scheduler} looks at the first objective, and "
                f"{self.objectives[0]} says nothing of a training under way: put loss or "
                "accuracy first"
            )
        return self

    @model_validator(mode="after")
    def _population_can_be_bred(self) -> Self:
        if self.scheduler != "pbt":
            return self
        if self.searcher != "random":
            raise ValueError("scheduler: pbt draws its members: set searcher to random")
        if self.budget.trials is not None:
            raise ValueError(
                "budget: with scheduler: pbt, pbt.members says how many trainings there are: "
                "leave budget.trials out"
            )
        fixed = [name for name in self.space if name not in CHANGEABLE]
        if fixed:
            raise ValueError(
                f"space: {fixed[0]} cannot change in mid-run, as scheduler: pbt has it: search "
                f"one of {', '.join(CHANGEABLE)}, or take asha"
            )
        return self
