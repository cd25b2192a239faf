"""What to try next: lists and draws by ourselves, and Optuna where earlier outcomes count."""

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.config.search import SearchConfig, Span
from orchestrator.config.space import is_whole
from orchestrator.search.naming import trial_name
from orchestrator.search.space import Space, Values, draw, grid

if TYPE_CHECKING:
    import optuna

IN_VAIN = 100
"""Draws in a row that were there before; after that the space is taken for exhausted."""


class Suggester(Protocol):
    """Says what to try, and hears what came of it. Knows nothing of jobs and trials."""

    def next(self) -> Values | None:
        """What to try; None where there is nothing more. Never the same twice."""
        ...

    def began(self, values: Values, /) -> None:
        """These are tried already, by an earlier driver, whose space may have been another."""
        ...

    def tell(self, values: Values, costs: tuple[float, ...] | None, /, *, whole: bool) -> None:
        """What came of what was suggested.

        Args:
            values: As suggested, or as they began.
            costs: One an objective, less is better; None where there are none.
            whole: Whether the training came to its end.
        """
        ...


def suggester_of(config: SearchConfig) -> Suggester:
    """The searcher that a job names."""
    match config.searcher:
        case "grid":
            return Listed(grid(config.space))
        case "random":
            numbers = itertools.count()
            return Listed(draw(config.space, seed=config.seed, number=n) for n in numbers)
        case "tpe" | "nsga2":
            return Asked(config)


class Listed:
    """Points that do not depend on what came of earlier ones."""

    def __init__(self, points: Iterator[Values]) -> None:
        self._points = points
        self._known: set[str] = set()

    def next(self) -> Values | None:
        for values in itertools.islice(self._points, len(self._known) + IN_VAIN):
            if _key(values) not in self._known:
                self._known.add(_key(values))
                return values
        return None

    def began(self, values: Values, /) -> None:
        self._known.add(_key(values))

    def tell(self, values: Values, costs: tuple[float, ...] | None, /, *, whole: bool) -> None:
        pass


class Asked:
    """Optuna's ask and tell.

    A choice goes by its place in the list, for a value may be anything. A study is not kept:
    a later driver tells a new one what came of each trial.
    """

    def __init__(self, config: SearchConfig) -> None:
        # Here: a second, which no other searcher needs.
        import optuna  # noqa: PLC0415

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna
        self._space = config.space
        kind = (
            optuna.samplers.TPESampler
            if config.searcher == "tpe"
            else optuna.samplers.NSGAIISampler
        )
        self._several = len(config.objectives) > 1
        self._study = optuna.create_study(
            sampler=kind(seed=config.seed), directions=["minimize"] * len(config.objectives)
        )
        self._open: dict[str, optuna.trial.Trial] = {}
        self._outcomes: dict[str, tuple[tuple[float, ...] | None, bool]] = {}

    def next(self) -> Values | None:
        for _ in range(IN_VAIN):
            trial = self._study.ask()
            values = {name: self._suggested(trial, name) for name in self._space}
            key = _key(values)
            if key in self._outcomes:
                # Told again, as of a second try: so it learns what it asked for.
                self._close(trial, self._outcomes[key][0], whole=self._outcomes[key][1])
            elif key in self._open:
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            else:
                self._open[key] = trial
                return values
        return None

    def began(self, values: Values, /) -> None:
        if not _holds(self._space, values):
            return
        places = {name: self._place(name, value) for name, value in values.items()}
        self._study.enqueue_trial(places)
        trial = self._study.ask()
        for name in self._space:
            self._suggested(trial, name)
        self._open[_key(values)] = trial

    def tell(self, values: Values, costs: tuple[float, ...] | None, /, *, whole: bool) -> None:
        self._outcomes[_key(values)] = (costs, whole)
        trial = self._open.pop(_key(values), None)
        if trial is not None:
            self._close(trial, costs, whole=whole)

    def _close(
        self, trial: "optuna.trial.Trial", costs: tuple[float, ...] | None, *, whole: bool
    ) -> None:
        state = self._optuna.trial.TrialState
        if costs is not None and whole:
            self._study.tell(trial, list(costs))
        elif costs is not None and not self._several:
            # Ended early: how it stood then counts for something.
            trial.report(costs[0], step=1)
            self._study.tell(trial, state=state.PRUNED)
        else:
            self._study.tell(trial, state=state.FAIL)

    def _suggested(self, trial: "optuna.trial.Trial", name: str) -> Any:  # noqa: ANN401 - any JSON
        axis = self._space[name]
        if not isinstance(axis, Span):
            return axis[trial.suggest_categorical(name, list(range(len(axis))))]
        least, most = axis.ends
        log = axis.log is not None
        if is_whole(name):
            return trial.suggest_int(name, int(least), int(most), log=log)
        return float(f"{trial.suggest_float(name, least, most, log=log):.4g}")

    def _place(self, name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON
        axis = self._space[name]
        return value if isinstance(axis, Span) else list(axis).index(value)


def _holds(space: Space, values: Values) -> bool:
    """Whether these values could have come from this space."""
    if values.keys() != space.keys():
        return False
    return all(
        axis.ends[0] <= value <= axis.ends[1]
        if isinstance(axis, Span) and isinstance(value, int | float)
        else not isinstance(axis, Span) and value in axis
        for axis, value in ((space[name], value) for name, value in values.items())
    )


def _key(values: Values) -> str:
    return trial_name("", values)


def known_first(
    suggester: Suggester, ended: Iterable[tuple[Values, tuple[float, ...] | None, bool]]
) -> None:
    """Tell a new suggester what earlier drivers have found out."""
    for values, costs, whole in ended:
        suggester.began(values)
        suggester.tell(values, costs, whole=whole)
