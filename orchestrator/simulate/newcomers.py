"""Workers on their way into the quorum: they start in turn, load, ask, wait, and are let in."""

import heapq
import itertools
import math
from collections import deque
from dataclasses import dataclass, field
from typing import assert_never

from orchestrator.policy.joining import (
    Admit,
    JoinWhenSteady,
    Loading,
    LossReason,
    NodeHistory,
    Refuse,
    Start,
    StartLimits,
    Wait,
    may_start,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What a job wants, and the policies."""

    least: int = 1
    most: int = 1_000_000
    joining: JoinWhenSteady = field(default_factory=JoinWhenSteady)
    starts: StartLimits = field(default_factory=StartLimits)


class Newcomers:
    """All nodes without a worker in the quorum, and what is remembered of all that were seen.

    Args:
        rules: What the job wants, and the policies.
        load_s: Seconds that a worker takes from its start to asking whether it may join.
    """

    def __init__(self, rules: Rules, load_s: float) -> None:
        self._rules, self._load_s = rules, load_s
        self._order = itertools.count()
        self._asks: list[tuple[float, int, str, int]] = []
        """When, in which order, on which node, in which of its lives."""
        self._history: dict[str, NodeHistory] = {}
        self._life: dict[str, int] = {}
        self._unstarted: deque[str] = deque()
        self._loading: dict[str, Loading] = {}
        self._asking: set[str] = set()
        self._joining: list[str] = []

    @property
    def are_ready(self) -> bool:
        """Whether somebody joins at the next step's end."""
        return bool(self._joining)

    @property
    def next_ask_s(self) -> float:
        """When the next of them has something to ask."""
        return self._asks[0][0] if self._asks else math.inf

    def come(self, node: str) -> None:
        """A node is there."""
        history = self._history.get(node, NodeHistory(node=node))
        self._history[node] = history.noticed(is_draining=False)
        self._unstarted.append(node)

    def come_again(self, node: str) -> None:
        """A node's worker died; another one starts, unless the node goes as well."""
        if not self._history[node].is_draining:
            self._unstarted.append(node)

    def notice(self, node: str) -> None:
        """A node is about to be taken away."""
        self._history[node] = self._history[node].noticed(is_draining=True)

    def lost(self, node: str, now_s: float, reason: LossReason) -> None:
        """A worker in the quorum is gone."""
        self._history[node] = self._history[node].lost(now_s, reason)

    def drop(self, node: str, now_s: float, reason: LossReason) -> None:
        """A worker on its way is gone; on a node without one nothing happens."""
        if node in self._loading or node in self._asking or node in self._joining:
            self.lost(node, now_s, reason)
        # Of what this life has still to ask, nobody is to hear.
        self._life[node] = next(self._order)
        self._loading.pop(node, None)
        self._asking.discard(node)
        if node in self._joining:
            self._joining.remove(node)
        if node in self._unstarted:
            self._unstarted.remove(node)

    def start(self, now_s: float, *, num_staying: int) -> None:
        """Have workers start while the job wants more than stay and are on their way."""
        while self._unstarted and num_staying + self._num_coming() < self._rules.most:
            node = self._unstarted[0]
            busy = self._loading.values()
            answer = may_start(node, busy, now_s=now_s, limits=self._rules.starts)
            if not isinstance(answer, Start):
                return
            self._unstarted.popleft()
            self._life[node] = next(self._order)
            self._loading[node] = Loading(node=node, since_s=now_s)
            self._ask_at(now_s + self._load_s, node)

    def ask(self, *, num_present: int) -> None:
        """Answer the one whose turn it is."""
        now_s, _, node, life = heapq.heappop(self._asks)
        if self._life[node] != life or node in self._joining:
            return
        self._loading.pop(node, None)
        self._asking.add(node)
        held_up = num_present + len(self._joining) < self._rules.least
        answer = self._rules.joining.decide(self._history[node], now_s=now_s, held_up=held_up)
        match answer:
            case Admit():
                self._asking.remove(node)
                self._joining.append(node)
            case Wait(seconds=seconds):
                self._ask_at(now_s + seconds, node)
            case Refuse():
                self._asking.remove(node)
            case _:
                assert_never(answer)

    def ask_all_again(self, now_s: float) -> None:
        """Training stands still: everybody is welcome who was told to wait."""
        for node in sorted(self._asking):
            self._life[node] = next(self._order)
            self._ask_at(now_s, node)

    def let_in(self, now_s: float) -> list[str]:
        """Those who join now."""
        joined, self._joining = self._joining, []
        for node in joined:
            self._life[node] = next(self._order)
            self._history[node] = self._history[node].joined(now_s)
        return joined

    def _num_coming(self) -> int:
        return len(self._loading) + len(self._asking) + len(self._joining)

    def _ask_at(self, at_s: float, node: str) -> None:
        heapq.heappush(self._asks, (at_s, next(self._order), node, self._life[node]))
