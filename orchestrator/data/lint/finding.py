"""What lint finds, and by which limits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["note", "warning"]

SameContent = Callable[[str, int, int | None], str | None]
"""Digest of what lies at (url, offset, length): equal for equal content, None where it cannot
be read. Called for suspects only."""

NUM_EXAMPLES = 5
"""The most examples that a finding shows."""


@dataclass(frozen=True, slots=True)
class LintLimits:
    """From where on something is worth a word."""

    micro_tokens: int
    """Tokens that a sample may have."""

    global_batch: int = 16
    """Samples in a step."""

    pre_resized: bool = False
    """Images are written once at the job's size already."""

    group_images: int = 6
    """Images that a group may have without a word."""

    large_ratio: float = 8.0
    """Area of an image over that of its target: more is decoded in vain."""

    small_ratio: float = 4.0
    """Area of a target over that of its image: more is enlarged beyond sense."""

    answer_share: float = 0.5
    """Share of ``micro_tokens`` that an answer may take without a word."""

    reused_in: int = 100
    """Groups that one image may be used in without a word."""

    most_compared: int = 4096
    """Media whose content is read, at most, to confirm a suspicion."""


@dataclass(frozen=True, slots=True)
class ExampleMedium:
    """One medium of an example, and where its content is."""

    kind: str
    uri: str
    """As people wrote it."""

    url: str
    offset: int
    length: int | None


@dataclass(frozen=True, slots=True)
class Example:
    """One row that shows what a finding means."""

    file: str
    row: int
    id: str
    what: str
    media: tuple[ExampleMedium, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth knowing, with how often, where, and what to do."""

    name: str
    count: int
    share: float
    """Of all that could have it, from 0 to 1."""

    examples: tuple[Example, ...]
    remedy: str
    """Starts with a verb."""

    severity: Severity
    counted: str = "sample"
    """What ``count`` counts, one of it."""

    detail: str = ""
    """Figures beyond the count, as a sentence."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A sample to be shown as an example, by its number."""

    sample: int
    what: str
    medium: int | None = None
    """Place of the one medium that it is about; None: all of them."""

    twin: int | None = None
    """Number of the other sample that it is about, whose place is added to ``what``."""

    twin_held_out: bool = False
    """The other one is in the held-out data."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A finding whose picked samples are still to be read."""

    finding: Finding
    picks: tuple[Pick, ...] = ()
