"""When a video's frames are shown, from its header where that can be trusted.

Times are whole numbers in the video stream's own unit. Nothing is decoded.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.media.film import AVI, FLV, MATROSKA, MP4, Film

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

# Of these the header says how long they last. Of streams made to be broadcast it is a guess.
_HEADER_TIMES = (MP4, MATROSKA, AVI, FLV)
# Of these the header lists the key frames.
_HEADER_KEYS = (MP4, MATROSKA, AVI)
_FAR = 1 << 60
_CONTAINER_UNIT_S = Fraction(1, 1_000_000)


@dataclass(frozen=True, slots=True)
class Timeline:
    """From when to when a video lasts."""

    start: int
    stop: int
    num_frames: int
    """As the header has it, so one more or less."""

    def centres(self, number: int) -> list[int]:
        """Centres of equal parts of the duration."""
        span = self.stop - self.start
        return [self.start + (2 * part + 1) * span // (2 * number) for part in range(number)]


@dataclass(frozen=True, slots=True)
class KeyFrames:
    """Frames that need no others to be decoded."""

    times: tuple[int, ...]
    are_indexed: bool
    """Whether the times are the index's, for seeking, and not those of showing."""

    def even(self, number: int) -> list[int]:
        """Evenly chosen ones: of equal runs of them, the middle one each."""
        total = len(self.times)
        return [self.times[(2 * run + 1) * total // (2 * number)] for run in range(number)]


def timeline_of(film: Film) -> Timeline:
    """Say how long a video lasts, and how many frames there are.

    Raises:
        BadSampleError: There is none.
    """
    known = _by_header(film) if film.format in _HEADER_TIMES else None
    return known or _by_listing(film)


def key_frames_of(film: Film) -> KeyFrames:
    """List the key frames, in order.

    Raises:
        BadSampleError: There is none.
    """
    if film.format in _HEADER_KEYS:
        if film.format == MATROSKA:
            # Its index is read when it is first needed; where it has none, looking past the
            # end makes one.
            film.container.seek(_FAR, stream=film.stream)
        entries = film.stream.index_entries
        times = [one.timestamp for one in entries if one.is_keyframe and not one.is_discard]
        if times:
            return KeyFrames(tuple(times), are_indexed=True)
    shown = sorted(frame.time for frame in _listed(film) if frame.is_key)
    if not shown:
        raise BadSampleError(f"{film.what} holds no key frame", "Write the file again")
    return KeyFrames(tuple(shown), are_indexed=False)


def time_of(packet: "Packet[VideoStream]") -> int:
    """When a packet's frame is shown."""
    return next((time for time in (packet.pts, packet.dts) if time is not None), 0)


def unit_s(film: Film) -> Fraction:
    """Seconds of the stream's unit of time."""
    return film.stream.time_base or _CONTAINER_UNIT_S


def _by_header(film: Film) -> Timeline | None:
    stream, unit = film.stream, unit_s(film)
    start = stream.start_time or 0
    if stream.duration:
        stop = start + stream.duration
    else:
        # Counted from zero and not from the start, as Matroska and FLV write it.
        stop = int((film.container.duration or 0) * _CONTAINER_UNIT_S / unit)
    by_rate = round((stop - start) * unit * (stream.average_rate or 0))
    counts = [count for count in (stream.frames, by_rate) if count > 0]
    return Timeline(start, stop, min(counts)) if counts and stop > start else None


def _by_listing(film: Film) -> Timeline:
    frames = sorted(_listed(film))
    start, last = frames[0].time, frames[-1].time
    # Of unknown length, the last frame stays as long as the others do.
    stays = max(frame.duration for frame in frames) or (last - start) // max(1, len(frames) - 1)
    return Timeline(start, last + max(1, stays), len(frames))


class _Listed(NamedTuple):
    time: int
    duration: int
    is_key: bool


def _listed(film: Film) -> list[_Listed]:
    """Every frame of a file, from where it stands; the whole of it is read."""
    frames = [
        _Listed(time_of(packet), packet.duration or 0, packet.is_keyframe)
        for packet in film.container.demux(film.stream)
        if packet.size and not packet.is_discard
    ]
    if not frames:
        raise BadSampleError(f"{film.what} holds no frame", "Write the file again")
    return frames
