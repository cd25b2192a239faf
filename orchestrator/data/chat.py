"""From a conversation to token ids and labels, through the model's own chat template.

The template is rendered with stand-ins where people's text goes, and only what it wrote itself
is searched for special tokens: ``<|image_pad|>`` in a person's text stays text. Between two
special tokens the template's text and the person's are tokenised in one piece, so that merges
across their border come out as in ``apply_chat_template``.

Letters: L text tokens and image slots of a sample.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, takewhile
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import Conversation, MediaRef, Text, Turn
from orchestrator.data.rows import IMAGE_SLOT
from orchestrator.data.scaffold import (
    CLOSE,
    OPEN,
    STAND_IN,
    TEXT,
    Recipe,
    Run,
    Shape,
    Special,
    answer_numbers,
    messages,
    recipe,
    refuse_changed_order,
    refuse_lost_pictures,
    shape_of,
    stand_ins,
)
from orchestrator.errors import ModelError

_MOST_SCAFFOLDS = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """One conversation as the language model reads it."""

    ids_L: npt.NDArray[np.int32]
    """Token ids; each picture is one ``IMAGE_SLOT``."""

    labels_L: npt.NDArray[np.bool_]
    """True on the assistant's answers and their end tokens; never on the first token."""


class ChatEncoder:
    """A tokenizer with its chat template, checked once against the stock way.

    One instance serves one thread, as the tokenizer does.

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
        # Data sets hold few shapes of conversation, and rendering one is the slowest part.
        self._scaffolds: dict[Shape, tuple[Recipe | Special, ...]] = {}
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
        (found,) = self.encode_all([conversation])
        if isinstance(found, BadSampleError):
            raise found
        return found

    def encode_all(
        self, conversations: Sequence[Conversation]
    ) -> list[Encoded | BadSampleError]:
        """Tokenise conversations, all in one call of the tokenizer; see ``encode``."""
        cut = [self._cut(conversation) for conversation in conversations]
        good = chain.from_iterable(one for one in cut if not isinstance(one, BadSampleError))
        runs = [piece for piece in good if isinstance(piece, Run)]
        tokenised = self._tokenise(runs)
        return [
            pieces if isinstance(pieces, BadSampleError) else self._joined(pieces, tokenised)
            for pieces in cut
        ]

    def _cut(self, conversation: Conversation) -> "list[Run | Special] | BadSampleError":
        try:
            return list(self._pieces(conversation))
        except BadSampleError as error:
            return error

    def _joined(
        self,
        pieces: "list[Run | Special]",
        tokenised: Iterator[tuple[list[int], list[bool]]],
    ) -> Encoded | BadSampleError:
        ids: list[int] = []
        labels: list[bool] = []
        for piece in pieces:
            if isinstance(piece, Run):
                run_ids, run_labels = next(tokenised)
                ids += run_ids
                labels += run_labels
            else:
                ids.append(self._id(piece.token))
                labels.append(piece.is_label)
        if not any(labels):
            return BadSampleError("no label token", "Add the answer that is to be learned")
        assert not labels[0], "nothing comes before the first token to predict it from"
        return Encoded(np.array(ids, dtype=np.int32), np.array(labels, dtype=np.bool_))

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

    def _pieces(self, conversation: Conversation) -> Iterator[Run | Special]:
        """Put people's words between the special tokens that the template wrote."""
        texts = [part.text for part in conversation.parts() if isinstance(part, Text)]
        for piece in self._scaffold(shape_of(conversation.turns)):
            if isinstance(piece, Special):
                yield piece
            elif run := piece.filled(texts):
                yield run

    def _scaffold(self, shape: Shape) -> tuple[Recipe | Special, ...]:
        """What the template writes around texts and pictures.

        Raises:
            BadSampleError: The template leaves out a turn or a picture, or ends no answer.
        """
        found = self._scaffolds.get(shape)
        if found is None:
            rendered = self._render(shape)
            kinds = [kind for _, kinds in shape for kind in kinds]
            refuse_changed_order(rendered, kinds.count(TEXT))
            refuse_lost_pictures(
                rendered.count(self._image_token), len(kinds) - kinds.count(TEXT)
            )
            found = tuple(self._recipes(rendered, self._answers(rendered, shape)))
            if len(self._scaffolds) >= _MOST_SCAFFOLDS:
                self._scaffolds.clear()
            self._scaffolds[shape] = found
        return found

    def _recipes(
        self, rendered: str, answers: list[tuple[int, int]]
    ) -> Iterator[Recipe | Special]:
        start = 0
        for match in self._split.finditer(rendered):
            yield recipe(rendered, (start, match.start()), answers)
            # An answer's span ends behind its end token, so that token lies inside.
            is_label = any(low <= match.start() < high for low, high in answers)
            yield Special(match.group(), is_label and match.group() != self._image_token)
            start = match.end()
        yield recipe(rendered, (start, len(rendered)), answers)

    def _answers(self, scaffold: str, shape: Shape) -> list[tuple[int, int]]:
        """Find where the answers are in the scaffold: from the header to the end token."""
        found = {int(match.group(1)): match.span() for match in STAND_IN.finditer(scaffold)}
        spans = []
        for first, last in answer_numbers(shape):
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

    def _tokenise(self, runs: list[Run]) -> Iterator[tuple[list[int], list[bool]]]:
        if not runs:
            return
        encoded = self._tokenizer(
            [run.text for run in runs],
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            verbose=False,
        )
        pairs = zip(encoded["input_ids"], encoded.encodings, strict=True)
        for run, (ids, encoding) in zip(runs, pairs, strict=True):
            labels = [False] * len(ids)
            if run.spans:
                # Asked for where they are needed: for all, they take longer than the ids.
                # A token that starts in the header is its own, even if it reaches beyond.
                labels = [
                    any(low <= start < high for low, high in run.spans)
                    for start, _ in encoding.offsets
                ]
            yield ids, labels

    def _render(self, shape: Shape, *, add_generation_prompt: bool = False) -> str:
        rendered = self._tokenizer.apply_chat_template(
            messages(shape, stand_ins()),
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
        )
        return str(rendered)

    def _find_header(self) -> str:
        """Find what the template writes before an answer, by having it write one."""
        ask: Shape = (("user", (TEXT,)),)
        told: Shape = (*ask, ("assistant", (TEXT,)))
        asked, prompted = self._render(ask), self._render(ask, add_generation_prompt=True)
        # A prompt may go on (thinking models open a thought): the header is what both share.
        before_answer = self._render(told).partition(f"{OPEN}1{CLOSE}")[0]
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
            messages(shape_of(_PROBE.turns), _own_texts(_PROBE.turns)),
            tokenize=True,
            return_dict=False,
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


def _own_texts(turns: Iterable[Turn]) -> Iterator[str]:
    return (part.text for turn in turns for part in turn.parts if isinstance(part, Text))
