"""Fewer images in a conversation that has more than a job allows, their places in the text too.

An image is a part of its turn, so that image and place go together or stay together.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, assert_never

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import Conversation, MediaRef, Turn

Select = Literal["refuse", "even", "first", "diverse"]

Look = Callable[[MediaRef], int]
"""Gives a 64-bit number for an image; the more bits two differ in, the less they look alike."""


def thin(
    conversation: Conversation, max_images: int, select: Select, look: Look | None = None
) -> Conversation:
    """Keep at most ``max_images`` images, in their order; media of other kinds all stay.

    Text is left as it is, also where an image between two pieces of it goes. A turn left with
    nothing goes.

    Args:
        conversation: As placed, before an instruction template states a number of images.
        max_images: At least 1.
        select: "refuse" raises; "first" keeps the first; "even" keeps evenly spaced ones, the
            first and the last among them; "diverse" keeps those that differ most.
        look: Needed for "diverse" alone; asked once for each image, and only if there are too
            many. What it raises passes through.

    Raises:
        BadSampleError: There are too many, and ``select`` is "refuse".
    """
    images = [part for part in conversation.media if part.kind == "image"]
    if len(images) <= max_images:
        return conversation
    match select:
        case "refuse":
            raise BadSampleError(
                f"{len(images)} images, at most {max_images} allowed",
                "Raise images.max_images, set images.select, or split the sample",
            )
        case "first":
            kept: Sequence[int] = range(max_images)
        case "even":
            kept = evenly_spaced(len(images), max_images)
        case "diverse":
            assert look is not None
            kept = most_different([look(image) for image in images], max_images)
        case _:
            assert_never(select)
    return _with_images(conversation, frozenset(kept))


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """Choose ``wanted`` of ``count`` places: the first, the last, and even steps between them.

    Args:
        count: At least ``wanted``.
        wanted: At least 1; a single one is the first.
    """
    gaps = max(wanted - 1, 1)
    # Rounded in whole numbers, halves upwards: the same places on every machine.
    return [(2 * number * (count - 1) + gaps) // (2 * gaps) for number in range(wanted)]


def most_different(looks: Sequence[int], wanted: int) -> list[int]:
    """Choose places so that what is chosen differs as much as it can, beginning with the first.

    Each next one is the one farthest from all that are chosen; among equals the earlier.

    Args:
        looks: One number for each image, as ``Look`` gives.
        wanted: At least 1, at most as many as there are.

    Returns:
        The places, ascending.

    Source: farthest-point clustering, Gonzalez 1985: within a factor of two of the best choice.
    """
    chosen = [0]
    distances = [(value ^ looks[0]).bit_count() for value in looks]
    while len(chosen) < wanted:
        # Below every distance, or a picture that is there twice could be chosen twice.
        distances[chosen[-1]] = -1
        place = max(range(len(looks)), key=distances.__getitem__)
        chosen.append(place)
        distances = [
            min(distance, (value ^ looks[place]).bit_count())
            for distance, value in zip(distances, looks, strict=True)
        ]
    return sorted(chosen)


def _with_images(conversation: Conversation, kept: frozenset[int]) -> Conversation:
    """Keep the images of these numbers, counted from 0 through the whole conversation."""
    number = -1
    turns = []
    for turn in conversation.turns:
        parts = []
        for part in turn.parts:
            is_image = isinstance(part, MediaRef) and part.kind == "image"
            number += is_image
            if not is_image or number in kept:
                parts.append(part)
        if parts:
            turns.append(Turn(turn.role, tuple(parts)))
    return replace(conversation, turns=tuple(turns))
