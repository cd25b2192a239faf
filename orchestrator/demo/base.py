"""Give the tiny random model something to build on, as a published checkpoint would have.

An adapter bends what a model can do already; on random weights it learns nothing. So the base
learns, from small pictures, to find colours ("Is any picture red?" yes or no) and to compare
pictures ("Do these pictures match?" true or false). The demo's question it has never met, nor
that a comparison may be answered with yes or no: that is left to the tuning.

Letters: B samples of a batch, all of the same length L; A answers of each; N pictures of each.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from orchestrator.demo.pictures import KINDS, draw

Progress = Callable[[int, int], None]

NUM_STEPS = 550
_MAX_IMAGES = 6
_LEARNING_RATE = 2e-3
_WARMUP_STEPS = 20
_BATCH_TOKENS = 1200
_MOST_TOKENS = 800
_REPORTED_STEPS = 50

# Sides of the square pictures, in tokens, and how many of each kind are drawn. The demo's own
# pictures have about 18 x 18: small ones are quick to learn from, large ones show what lasts.
_SMALL_SIDES, _NUM_SMALL = (1, 2, 3), 40
_LARGE_SIDES, _NUM_LARGE = (6, 10, 16), 8

# Far from the numbers of the demo's own pictures, which the base must not have seen.
_FIRST_INDEX = 1_000_000


@dataclass(frozen=True, slots=True)
class BaseReport:
    """What the base has come to."""

    steps: int

    loss: float
    """Mean cross-entropy of an answer's token over the last steps, in nats."""

    accuracy: float
    """Share of right answers over the last steps, 0..1."""

    seconds: float


@dataclass(frozen=True, slots=True)
class _Album:
    """Pictures by side and kind, as the model's own processor cuts them up."""

    patches: dict[tuple[int, int], list[torch.Tensor]]
    grids: dict[int, list[int]]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Samples that differ in their pictures and answers but not in their lengths."""

    inputs: dict[str, torch.Tensor]
    answer_A: torch.Tensor
    """Places of the answers' first tokens; the end token is the next."""


def train_base(
    folder: Path, *, seed: int = 0, steps: int = NUM_STEPS, progress: Progress | None = None
) -> BaseReport:
    """Train all weights of the model in ``folder``, and write them back.

    Args:
        folder: As ``write_tiny_model`` left it.
        seed: Of weights, pictures and questions.
        steps: Batches to learn from.
        progress: Called after each with the number done and the number of all.
    """
    start_s = time.monotonic()
    rng = np.random.default_rng((seed, 3))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    _draw_weights(model, seed)
    album = _draw_album(folder, seed)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    model.train()
    history: list[tuple[float, float]] = []
    for step in range(steps):
        side, num_images = _lesson(step / steps, rng)
        batch = _make_batch(model, tokenizer, album, (side, num_images), rng)
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(step, steps)
        history.append(_learn(model, optimizer, batch))
        if progress is not None:
            progress(step + 1, steps)
    model.save_pretrained(folder)
    loss, accuracy = np.mean(history[-_REPORTED_STEPS:], axis=0)
    return BaseReport(steps, float(loss), float(accuracy), time.monotonic() - start_s)


def _draw_weights(model: Any, seed: int) -> None:  # noqa: ANN401 - transformers ships no types
    """Weights that keep the size of what goes through them.

    The families' usual 0.02 is meant for widths in the thousands: at this width almost nothing
    would come through, and the first hundreds of steps would go by without effect.
    """
    generator = torch.Generator().manual_seed(seed)
    embedding = model.get_input_embeddings().weight
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim >= 2:
                spread = 0.3 if weight is embedding else weight[0].numel() ** -0.5
                weight.normal_(0, spread, generator=generator)


def _draw_album(folder: Path, seed: int) -> _Album:
    # The lower limit is lifted: the smallest pictures are of one token.
    limits = {"shortest_edge": 1, "longest_edge": 2**24}
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil", size=limits)
    token_pixels = processor.patch_size * processor.merge_size
    album = _Album({}, {})
    for side in _SMALL_SIDES + _LARGE_SIDES:
        pixels = side * token_pixels
        for number, kind in enumerate(KINDS):
            count = _NUM_SMALL if side in _SMALL_SIDES else _NUM_LARGE
            images = [
                Image.fromarray(draw(kind, height=pixels, width=pixels, seed=seed, index=index))
                for index in range(_FIRST_INDEX, _FIRST_INDEX + count)
            ]
            cut = processor(images, return_tensors="pt")
            album.patches[side, number] = list(cut["pixel_values"].chunk(len(images)))
            album.grids[side] = cut["image_grid_thw"][0].tolist()
    return album


def _lesson(done: float, rng: np.random.Generator) -> tuple[int, int]:
    """Side and number of pictures for the next batch: few first, large ones not until later."""
    is_large = done > 0.35 and rng.random() < 0.3
    side = int(rng.choice(_LARGE_SIDES if is_large else _SMALL_SIDES))
    fewest = 1 if done > 0.3 else 2
    most = 2 + min(_MAX_IMAGES - 2, int(done / 0.3 * (_MAX_IMAGES - 1)))
    # Three of the largest are as many tokens as a step has time for.
    return side, int(rng.integers(fewest, min(most, _MOST_TOKENS // side**2) + 1))


def _learning_rate(step: int, steps: int) -> float:
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    return _LEARNING_RATE * min(1, (step + 1) / _WARMUP_STEPS) * (0.05 + 0.95 * cosine)


def _learn(model: Any, optimizer: torch.optim.Optimizer, batch: _Batch) -> tuple[float, float]:  # noqa: ANN401 - as above
    """One optimizer step; its loss and its share of right answers."""
    predicting = torch.cat([batch.answer_A - 1, batch.answer_A])
    target_BA = batch.inputs["input_ids"][:, predicting + 1]
    logits_BAV = model(**batch.inputs, use_cache=False, logits_to_keep=predicting).logits
    loss = functional.cross_entropy(logits_BAV.flatten(0, 1), target_BA.flatten())
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    is_right_BA = (logits_BAV.argmax(-1) == target_BA)[:, : len(batch.answer_A)]
    return loss.item(), is_right_BA.float().mean().item()


def _make_batch(
    model: Any,  # noqa: ANN401 - as above
    tokenizer: Any,  # noqa: ANN401 - as above
    album: _Album,
    side_and_number: tuple[int, int],
    rng: np.random.Generator,
) -> _Batch:
    side, num_images = side_and_number
    num_tokens = num_images * (side * side + 2)
    tokens = _BATCH_TOKENS * (1.5 if side in _LARGE_SIDES else 1)
    num_samples = max(3, int(tokens / (num_tokens + 30)))
    groups = [_group(num_images, rng) for _ in range(num_samples)]
    is_any_first = bool(rng.random() < 0.5)
    turns = [_turns(kinds, rng)[:: 1 if is_any_first else -1] for kinds in groups]
    texts = [_text(tokenizer, *sample) for sample in zip(groups, turns, strict=True)]
    pads = "<|image_pad|>" * side**2
    rows = tokenizer([text.replace("<|image_pad|>", pads) for text in texts])["input_ids"]
    shown = [album.patches[side, kind] for kinds in groups for kind in kinds]
    ids_BL = torch.tensor(rows)
    inputs = {
        "input_ids": ids_BL,
        "mm_token_type_ids": (ids_BL == model.config.image_token_id).int(),
        "pixel_values": torch.cat([pile[int(rng.integers(len(pile)))] for pile in shown]),
        "image_grid_thw": torch.tensor([album.grids[side]] * len(shown)),
    }
    return _Batch(
        {**inputs, "position_ids": _positions(model, inputs, num_images)},
        _find_answers(ids_BL[0], tokenizer),
    )


def _group(num_images: int, rng: np.random.Generator) -> list[int]:
    """Kinds of the pictures: all alike, or, as often, one unlike the others."""
    kind, other = (int(number) for number in rng.choice(len(KINDS), 2, replace=False))
    kinds = [kind] * num_images
    if num_images > 1 and rng.random() < 0.5:
        kinds[int(rng.integers(num_images))] = other
    return kinds


def _turns(kinds: list[int], rng: np.random.Generator) -> list[tuple[str, str]]:
    """Two questions about the same pictures, with their answers of one token each."""
    shown = {KINDS[kind] for kind in kinds}
    is_there = bool(rng.random() < 0.5)
    named = sorted(shown if is_there else {*KINDS} - shown)
    return [
        (
            f"Is any picture {named[int(rng.integers(len(named)))]}?",
            "yes" if is_there else "no",
        ),
        ("Do these pictures match?", "true" if len(shown) == 1 else "false"),
    ]


def _text(tokenizer: Any, kinds: list[int], turns: list[tuple[str, str]]) -> str:  # noqa: ANN401 - as above
    """A conversation in the model's template, the pictures before its first question."""
    pictures: list[dict[str, str]] = [{"type": "image"} for _ in kinds]
    conversation: list[dict[str, Any]] = []
    for question, answer in turns:
        parts = [*pictures, {"type": "text", "text": question}]
        conversation.append({"role": "user", "content": parts})
        conversation.append({"role": "assistant", "content": answer})
        pictures = []
    return str(tokenizer.apply_chat_template(conversation, tokenize=False))


def _positions(model: Any, inputs: dict[str, torch.Tensor], num_images: int) -> torch.Tensor:  # noqa: ANN401 - as above
    """Rotary positions [3, B, L]: worked out once, as all rows are laid out alike."""
    position_31L, _ = model.model.get_rope_index(
        inputs["input_ids"][:1],
        mm_token_type_ids=inputs["mm_token_type_ids"][:1],
        image_grid_thw=inputs["image_grid_thw"][:num_images],
    )
    positions: torch.Tensor = position_31L.expand(-1, len(inputs["input_ids"]), -1)
    return positions


def _find_answers(ids_L: torch.Tensor, tokenizer: Any) -> torch.Tensor:  # noqa: ANN401 - as above
    """Where answers, of one token each, begin: behind each of the assistant's headers."""
    header = torch.tensor(tokenizer("<|im_start|>assistant\n")["input_ids"])
    is_header = (ids_L.unfold(0, len(header), 1) == header).all(-1)
    return is_header.nonzero()[:, 0] + len(header)
