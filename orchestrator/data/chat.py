"""From a conversation to token ids and labels, through the model's own chat template.

The template is rendered with stand-ins where people's text goes, and only what it wrote itself
is searched for special tokens: ``<|image_pad|>`` in a person's text stays text. Between two
special tokens the template's text and the person's are tokenised in one piece, so that merges
across their border come out as in ``apply_chat_template``.

Letters: L text tokens and image slots of a sample.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import Conversation, MediaRef, Text, Turn
from orchestrator.data.rows import IMAGE_SLOT
from orchestrator.errors import ModelError

# Private-use characters: no template holds them, and people's text is not in yet when we look.
_OPEN, _CLOSE = "\ue000", "\ue001"
_STAND_IN = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """One conversation as the language model reads it."""

    ids_L: npt.NDArray[np.int32]
    """Token ids; each picture is one ``IMAGE_SLOT``."""

    labels_L: npt.NDArray[np.bool_]
    """True on the assistant's answers and their end tokens; never on the first token."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Text between two special tokens, people's words in place."""

    text: str
    spans: tuple[tuple[int, int], ...]
    """Where answers are in it, in characters."""


@dataclass(frozen=True, slots=True)
class _Special:
    """A special token that the template wrote."""

    token: str
    is_label: bool


class ChatEncoder:
    """A tokenizer with its chat template, checked once against the stock way.

    Holds nothing that changes; one instance serves one thread, as the tokenizer does.

    Raises:
        ModelError: The tokenizer has no chat template, or one that we cannot follow.
    """

    def __init__(self, tokenizer: Any, image_token: str = "<|image_pad|>") -> None:  # noqa: ANN401
        # Any: the tokenizer's own type would cost an import of transformers.
        self._tokenizer = tokenizer
        self._image_token = image_token
        added = {
            token.content: number for number, token in tokenizer.added_tokens_decoder.items()
        }
        self._added_ids: dict[str, int] = added
        self._where = str(tokenizer.name_or_path)
        self._refuse_unusable()
        self._split = re.compile("|".join(map(re.escape, sorted(added, key=len, reverse=True))))
        self._header = self._find_header()
        self._refuse_unlike_stock()

    def encode(self, conversation: Conversation) -> Encoded:
        """Tokenise a conversation and mark what carries loss.

        Returns:
            Ids and labels of equal length.

        Raises:
            BadSampleError: The template leaves out a turn, or nothing carries loss.
        """
        pieces = list(self._pieces(conversation))
        runs = [piece for piece in pieces if isinstance(piece, _Run)]
        tokenised = iter(self._tokenise(runs))
        ids: list[int] = []
        labels: list[bool] = []
        for piece in pieces:
            if isinstance(piece, _Run):
                run_ids, run_labels = next(tokenised)
                ids += run_ids
                labels += run_labels
            else:
                ids.append(self._id(piece.token))
                labels.append(piece.is_label)
        encoded = Encoded(np.array(ids, dtype=np.int32), np.array(labels, dtype=np.bool_))
        _check(encoded, num_images=len(conversation.media))
        return encoded

    def fingerprint(self) -> str:
        """SHA-256 of everything that ids depend on: vocabulary, template, image token."""
        parts = (
            self._tokenizer.backend_tokenizer.to_str(),
            str(self._tokenizer.chat_template),
            self._image_token,
        )
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _id(self, token: str) -> int:
        return IMAGE_SLOT if token == self._image_token else self._added_ids[token]

    def _pieces(self, conversation: Conversation) -> Iterator[_Run | _Special]:
        """Cut the rendered conversation at the special tokens that the template wrote."""
        texts = [part.text for part in conversation.parts() if isinstance(part, Text)]
        scaffold = self._render(conversation)
        _refuse_changed_order(scaffold, len(texts))
        answers = self._answers(scaffold, conversation)
        start = 0
        for match in self._split.finditer(scaffold):
            yield from _run(scaffold, (start, match.start()), texts, answers)
            # An answer's span ends behind its end token, so that token lies inside.
            is_label = any(low <= match.start() < high for low, high in answers)
            yield _Special(match.group(), is_label and match.group() != self._image_token)
            start = match.end()
        yield from _run(scaffold, (start, len(scaffold)), texts, answers)

    def _answers(self, scaffold: str, conversation: Conversation) -> list[tuple[int, int]]:
        """Find where the answers are in the scaffold: from the header to the end token."""
        found = {int(match.group(1)): match.span() for match in _STAND_IN.finditer(scaffold)}
        spans = []
        for first, last in _answer_numbers(conversation):
            # Not before the words of whoever spoke last: they would count as the answer's.
            spoken = found[first - 1][1] if first else 0
            start = scaffold.rfind(self._header, spoken, found[first][0])
            end = self._split.search(scaffold, found[last][1])
            if start < 0 or end is None:
                raise BadSampleError(
                    "no label: the chat template gives an answer no header or no end",
                    "Alternate user and assistant turns",
                )
            spans.append((start + len(self._header), end.end()))
        return spans

    def _tokenise(self, runs: list[_Run]) -> Iterator[tuple[list[int], list[bool]]]:
        if not runs:
            return
        encoded = self._tokenizer(
            [run.text for run in runs],
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        pairs = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        for run, (ids, offsets) in zip(runs, pairs, strict=True):
            # A token that starts in the header is its own, even if it reaches into the answer.
            yield (
                ids,
                [any(low <= start < high for low, high in run.spans) for start, _ in offsets],
            )

    def _render(
        self, conversation: Conversation, *, add_generation_prompt: bool = False
    ) -> str:
        rendered = self._tokenizer.apply_chat_template(
            _messages(conversation.turns, _stand_ins()),
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
        )
        return str(rendered)

    def _find_header(self) -> str:
        """Find what the template writes before an answer, by having it write one."""
        ask = Conversation("probe", (Turn("user", (Text("ask"),)),))
        told = Conversation("probe", (*ask.turns, Turn("assistant", (Text("tell"),))))
        asked, prompted = self._render(ask), self._render(ask, add_generation_prompt=True)
        # A prompt may go on (thinking models open a thought): the header is what both share.
        before_answer = self._render(told).partition(f"{_OPEN}1{_CLOSE}")[0]
        header = _shared_start(prompted, before_answer)[len(asked) :]
        if not before_answer.startswith(asked) or not self._split.search(header):
            raise ModelError(
                "chat template without a header before the assistant's turn",
                self._where,
                "Use a chat template that marks each speaker with a special token",
            )
        return header

    def _refuse_unusable(self) -> None:
        if not self._tokenizer.chat_template:
            raise ModelError(
                "tokenizer without a chat template",
                self._where,
                "Add chat_template.jinja to it",
            )
        if self._image_token not in self._added_ids:
            raise ModelError(
                f"tokenizer without {self._image_token}",
                self._where,
                "Use the tokenizer of a Qwen 2, 2.5 or 3 vision-language model",
            )
        if not self._tokenizer.is_fast:
            raise ModelError("tokenizer without offsets", self._where, "Add its tokenizer.json")

    def _refuse_unlike_stock(self) -> None:
        """Compare with the stock way once, so that no unforeseen template goes unnoticed."""
        stock = self._tokenizer.apply_chat_template(
            _messages(_PROBE.turns, _own_texts(_PROBE.turns)), tokenize=True, return_dict=False
        )
        ids_L = self.encode(_PROBE).ids_L
        ours = np.where(ids_L == IMAGE_SLOT, self._added_ids[self._image_token], ids_L)
        if stock != ours.tolist():
            raise ModelError(
                "chat template that changes what people wrote",
                self._where,
                "Use a chat template that copies each turn's text as it is",
            )


_PROBE = Conversation(
    "probe",
    (
        Turn("system", (Text("Be brief."),)),
        Turn("user", (MediaRef("a"), Text("\n  Which one?\n"), MediaRef("b"), Text(" 哪一张"))),
        Turn("assistant", (Text(" The first.\n"),)),
        Turn("user", (Text("Sure?"),)),
        Turn("assistant", (Text("Yes."),)),
    ),
)


def _shared_start(one: str, other: str) -> str:
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(character for character, _ in same)


def _stand_ins() -> Iterator[str]:
    number = 0
    while True:
        yield f"{_OPEN}{number}{_CLOSE}"
        number += 1


def _own_texts(turns: Iterable[Turn]) -> Iterator[str]:
    return (part.text for turn in turns for part in turn.parts if isinstance(part, Text))


def _messages(turns: Iterable[Turn], texts: Iterator[str]) -> list[dict[str, Any]]:
    """Write turns as the template reads them, taking each text part's words from ``texts``."""
    return [
        {
            "role": turn.role,
            "content": [
                {"type": "text", "text": next(texts)}
                if isinstance(part, Text)
                else {"type": part.kind}
                for part in turn.parts
            ],
        }
        for turn in turns
    ]


def _answer_numbers(conversation: Conversation) -> Iterator[tuple[int, int]]:
    """Give the first and last text part of each assistant turn, counted over all turns."""
    number = 0
    for turn in conversation.turns:
        num_texts = sum(isinstance(part, Text) for part in turn.parts)
        if turn.role == "assistant" and num_texts:
            yield number, number + num_texts - 1
        number += num_texts


def _run(
    scaffold: str,
    bounds: tuple[int, int],
    texts: list[str],
    answers: list[tuple[int, int]],
) -> Iterator[_Run]:
    """Put people's words in place between two special tokens, and move the answers' bounds."""
    start, end = bounds
    marks = {start, end}
    marks |= {mark for span in answers for mark in span if start < mark < end}
    moved = {start: 0}
    words = ""
    for low, high in pairwise(sorted(marks)):
        words += _STAND_IN.sub(lambda match: texts[int(match.group(1))], scaffold[low:high])
        moved[high] = len(words)
    if words:
        yield _Run(words, tuple(_inside(answers, bounds, moved)))


def _inside(
    answers: list[tuple[int, int]], bounds: tuple[int, int], moved: dict[int, int]
) -> Iterator[tuple[int, int]]:
    for low, high in answers:
        clipped = max(low, bounds[0]), min(high, bounds[1])
        if clipped[0] < clipped[1]:
            yield moved[clipped[0]], moved[clipped[1]]


def _refuse_changed_order(scaffold: str, num_texts: int) -> None:
    if [int(match.group(1)) for match in _STAND_IN.finditer(scaffold)] != list(
        range(num_texts)
    ):
        raise BadSampleError(
            "the chat template leaves out or repeats a turn",
            "Alternate user and assistant turns, and keep to roles that the model knows",
        )


def _check(encoded: Encoded, num_images: int) -> None:
    num_slots = int(np.count_nonzero(encoded.ids_L == IMAGE_SLOT))
    if num_slots != num_images:
        raise BadSampleError(
            f"the chat template places {num_slots} of {num_images} images",
            "Move images to the user's turns",
        )
    if not encoded.labels_L.any():
        raise BadSampleError("no label token", "Add the answer that is to be learned")
    assert not encoded.labels_L[0], "nothing comes before the first token to predict it from"
