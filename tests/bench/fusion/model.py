"""A small language model that reads pictures' tokens and a question, and answers in one word.

Letters: S samples, L tokens of pictures, T words of a question, D width, V words there are.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from tests.bench.fusion.layers import PLACE, WIDTH, Block, waves
from tests.bench.fusion.words import ASKING, NUM_MARKS, NUM_WORDS

LAYERS: Final = 3
HIDDEN: Final = 4 * WIDTH


@dataclass(frozen=True)
class Tokens:
    """What a method makes of a batch's pictures; the model reads it as it stands."""

    features_SLD: Tensor
    places_SL2: Tensor
    """The middle of what a token stands for, down and across its picture, from 0 to 1."""
    marks_SL: Tensor
    """The number that the token's picture goes by."""
    is_there_SL: Tensor | None = None
    """Where samples have unequally many: which are no padding."""

    def per_sample(self) -> float:
        """Tokens of a sample's pictures, on average."""
        if self.is_there_SL is None:
            return float(self.features_SLD.shape[1])
        return float(self.is_there_SL.sum(1, dtype=torch.float32).mean())


class Answerer(nn.Module):
    """Causal: the pictures in their order, then the question, whose last word answers."""

    def __init__(self, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.picture = nn.Linear(WIDTH, WIDTH)
        self.place = nn.Linear(PLACE, WIDTH)
        self.mark = nn.Embedding(NUM_MARKS, WIDTH)
        self.word = nn.Embedding(NUM_WORDS, WIDTH)
        nn.init.normal_(self.mark.weight, std=0.2)
        self.blocks = nn.ModuleList(Block(hidden=hidden) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, NUM_WORDS)

    def picture_tokens(self, tokens: Tokens) -> Tensor:
        """What they show, where in their picture they are, and in which."""
        return (
            self.picture(tokens.features_SLD)
            + self.place(waves(tokens.places_SL2))
            + self.mark(tokens.marks_SL)
        )

    def widen(self, parameters: int) -> None:
        """Add about so many parameters to the perceptrons; at first they change nothing."""
        assert parameters >= 0, parameters
        hidden = round(parameters / (2 * WIDTH + 1))
        for number, block in enumerate(self.blocks):
            block.widen((hidden + number) // len(self.blocks))

    def read(self, questions_ST: Tensor) -> Tensor:
        """The question's words, each with all before it: no layer is to spare for that."""
        return self.word(questions_ST).cumsum(1)

    def forward(self, tokens: Tokens, questions_ST: Tensor) -> Tensor:
        """Logits of the answer, ``[S, V]``."""
        x_SLD = torch.cat([self.picture_tokens(tokens), self.read(questions_ST)], 1)
        mask = _mask(tokens)
        for block in self.blocks[:-1]:
            x_SLD = block(x_SLD, mask=mask, causal=mask is None)
        x_S1D = self.blocks[-1](x_SLD, mask=mask, last=1)
        return self.head(self.norm(x_S1D[:, 0]))

    def remark(self, tokens: Tokens) -> Tensor:
        """Logits at every token of the pictures, read before the last layer, ``[S, L, V]``."""
        x_SLD = self.picture_tokens(tokens)
        for block in self.blocks[:-1]:
            x_SLD = block(x_SLD, causal=True)
        return self.head(self.norm(x_SLD))


def _mask(tokens: Tokens) -> Tensor | None:
    """Nobody looks ahead, nor at padding; None where no token is padding."""
    if tokens.is_there_SL is None:
        return None
    is_there_SL = nn.functional.pad(tokens.is_there_SL, (0, ASKING), value=True)
    length = is_there_SL.shape[1]
    may_LL = torch.ones(length, length, dtype=torch.bool).tril()
    # Padding looks at itself: a row without any would turn into NaN.
    return (may_LL & is_there_SL[:, None] | torch.eye(length, dtype=torch.bool))[:, None]
