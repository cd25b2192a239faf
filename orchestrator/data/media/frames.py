"""Frames of a video by their time: sought, decoded, brought to RGB at their target size.

Whatever key frame decoding begins at, the frame shown at a time is the same, so a container
that seeks badly costs time and changes nothing.

Letters: H, W pixels.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from PIL import Image

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.coder import Pixels
from orchestrator.data.media.film import Film
from orchestrator.data.media.orientation import swaps_sides, turned
from orchestrator.data.media.pixels import to_8_bit
from orchestrator.data.media.timeline import KeyFrames, Timeline, time_of, unit_s

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

_REMEDY = "Write the file again"
# Bit-exact, as the same frame must give the same bytes on every processor.
_SCALING = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
    | Interpolation.FULL_CHR_H_INT
)
# A first step back to an earlier key frame; each next one is four times as long.
_STEP_S = 1
# Frames are decoded before they are shown, by less than this.
_HEAD_START_S = 10
# A film may end before its header says by this part of its duration, as where sound goes on.
_TOLERANCE = 10


def frames_at(film: Film, times: Sequence[int], timeline: Timeline) -> Iterator[VideoFrame]:
    """Give the frame that is shown at each of ascending times.

    Before the first frame, that is the first; once the film has ended, the last.

    Args:
        film: An opened video.
        times: In the stream's unit.
        timeline: How long the video lasts.

    Raises:
        BadSampleError: It ends long before.
    """
    played: Iterator[VideoFrame] = iter(())
    shown: VideoFrame | None = None
    ahead: VideoFrame | None = None
    played_from: int | None = None
    for time in times:
        key = _indexed_key(film, time)
        if shown is None or key is None or key != played_from:
            played, played_from = _played(film, time), key
            shown, ahead = next(played, None), next(played, None)
        while ahead is not None and _moment(ahead) <= time:
            shown, ahead = ahead, next(played, None)
        if shown is None or (ahead is None and _is_beyond(time, shown, timeline)):
            raise _ends_early(film, shown, timeline)
        yield shown


def key_frames(film: Film, keys: KeyFrames, times: Sequence[int]) -> Iterator[VideoFrame]:
    """Give the key frames at some times of ``keys``; indexed ones are decoded alone.

    Raises:
        BadSampleError: There is none where one should be.
    """
    if not keys.are_indexed:
        yield from frames_at(film, times, Timeline(times[0], times[-1], len(times)))
        return
    codec = film.stream.codec_context
    for time in times:
        film.container.seek(time, stream=film.stream)
        # An index has times of decoding or of showing, and seeking may stop a key frame short.
        packets = (one for one in _packets(film) if one.is_keyframe)
        packet = next((one for one in packets if time in (one.dts, one.pts)), None)
        frames = [*codec.decode(packet), *codec.decode(None)] if packet else []
        if not frames:
            raise BadSampleError(f"{film.what} lacks a key frame that it lists", _REMEDY)
        yield frames[0]


def pixels_of(
    frame: VideoFrame, film: Film, target_hw: tuple[int, int], background: str
) -> Pixels:
    """Bring a frame to RGB, upright, uint8 [H, W, 3] at its target size.

    Raises:
        BadSampleError: Parts of it are missing.
    """
    if frame.is_corrupt:
        raise BadSampleError(f"{film.what} has a damaged frame", _REMEDY)
    height, width = target_hw[::-1] if swaps_sides(film.orientation) else target_hw
    if any(component.is_alpha for component in frame.format.components):
        clear = Image.fromarray(
            frame.to_ndarray(format="rgba", interpolation=_SCALING, threads=1)
        )
        opaque = to_8_bit(clear, background)
        stored = np.asarray(opaque.resize((width, height), Image.Resampling.BICUBIC))
    else:
        # Converted and resized at once: a third of the time, 54 dB from one after the other.
        stored = frame.to_ndarray(
            format="rgb24", width=width, height=height, interpolation=_SCALING, threads=1
        )
    return np.ascontiguousarray(turned(stored.astype(np.uint8, copy=False), film.orientation))


def _indexed_key(film: Film, time: int) -> int | None:
    """The last key frame up to a time, as far as the container's index knows."""
    entries = film.stream.index_entries
    found = entries.search_timestamp(time)
    return entries[found].timestamp if found >= 0 else None


def _played(film: Film, time: int) -> Iterator[VideoFrame]:
    """Decode from a key frame that is shown no later than ``time``, or from the first one."""
    start = film.stream.start_time or 0
    step = max(1, int(_STEP_S / unit_s(film)))
    target = time
    while target >= start:
        film.container.seek(target, stream=film.stream)
        packets = _packets(film)
        first = next((one for one in packets if one.is_keyframe), None)
        if first is not None and time_of(first) <= time:
            return _decoded(film, chain([first], packets))
        target, step = target - step, 4 * step
    _rewind(film, start)
    return _decoded(film, _packets(film))


def _rewind(film: Film, start: int) -> None:
    try:
        film.container.seek(start - int(_HEAD_START_S / unit_s(film)), stream=film.stream)
    except av.FFmpegError:
        # Some will not be sought in before their start.
        film.container.seek(start, stream=film.stream)


def _packets(film: Film) -> "Iterator[Packet[VideoStream]]":
    return film.container.demux(film.stream)


def _decoded(film: Film, packets: "Iterator[Packet[VideoStream]]") -> Iterator[VideoFrame]:
    for packet in packets:
        yield from film.stream.decode(packet)


def _moment(frame: VideoFrame) -> int:
    return next((time for time in (frame.pts, frame.dts) if time is not None), 0)


def _end(frame: VideoFrame) -> int:
    return _moment(frame) + (frame.duration or 0)


def _is_beyond(time: int, last: VideoFrame, timeline: Timeline) -> bool:
    return time > _end(last) + (timeline.stop - timeline.start) // _TOLERANCE


def _ends_early(film: Film, last: VideoFrame | None, timeline: Timeline) -> BadSampleError:
    unit, stop = unit_s(film), timeline.start if last is None else _end(last)
    lasts, promised = (float((end - timeline.start) * unit) for end in (stop, timeline.stop))
    return BadSampleError(f"{film.what} ends at {lasts:.1f} s of {promised:.1f} s", _REMEDY)
