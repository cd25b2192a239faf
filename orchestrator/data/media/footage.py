"""What is measured of a video and what is taken of it, the same frames both times."""

from typing import Literal

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.coder import Pixels
from orchestrator.data.media.film import Film, opened
from orchestrator.data.media.frames import frames_at, key_frames, pixels_of
from orchestrator.data.media.medium import ImageSize, Targets
from orchestrator.data.media.orientation import swaps_sides
from orchestrator.data.media.timeline import key_frames_of, timeline_of
from orchestrator.data.places.content import Content

Select = Literal["even", "key"]


def measure(content: Content, select: Select, max_pixels: int) -> tuple[ImageSize, int]:
    """Say how large a video's frames are as shown, and how many there are to choose from.

    Args:
        content: The video.
        select: Whether all frames count, or key frames only.
        max_pixels: Larger frames are refused.

    Raises:
        BadSampleError: It is no video of a kind we read, too large, or broken.
        StorageError: The store did not answer.
    """
    with opened(content, max_pixels) as film:
        if select == "key":
            return _size_of(film), len(key_frames_of(film).times)
        return _size_of(film), timeline_of(film).num_frames


def take(
    content: Content, select: Select, targets: Targets, max_pixels: int, background: str
) -> list[Pixels]:
    """Decode a frame for every target, in the order of time.

    Args:
        content: The video.
        select: Which frames.
        targets: Their heights and widths, as many as are to be taken.
        max_pixels: Larger frames are refused.
        background: What lies behind transparent ones, as #rrggbb.

    Raises:
        BadSampleError: It is broken, or has fewer frames than that.
        StorageError: The store did not answer.
    """
    with opened(content, max_pixels) as film:
        if select == "key":
            keys = key_frames_of(film)
            _refuse_fewer(film, len(keys.times), len(targets))
            frames = key_frames(film, keys, keys.even(len(targets)))
        else:
            timeline = timeline_of(film)
            _refuse_fewer(film, timeline.num_frames, len(targets))
            frames = frames_at(film, timeline.centres(len(targets)), timeline)
        return [
            pixels_of(frame, film, target, background)
            for frame, target in zip(frames, targets, strict=True)
        ]


def _size_of(film: Film) -> ImageSize:
    stream = film.stream
    # Width of a pixel, as television and discs have it.
    stretch = stream.sample_aspect_ratio or 1
    width = max(1, round(stream.width * stretch))
    if swaps_sides(film.orientation):
        return ImageSize(width=stream.height, height=width)
    return ImageSize(width=width, height=stream.height)


def _refuse_fewer(film: Film, found: int, wanted: int) -> None:
    if found < wanted:
        raise BadSampleError(
            f"{film.what} has {found} frames to choose from, {wanted} when it was indexed",
            "Index anew",
        )
