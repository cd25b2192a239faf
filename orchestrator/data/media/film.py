"""Videos through PyAV: opened safely, and errors by their proper names.

FFmpeg is handed a reader and never a name: it sees the bytes of one content and nothing else,
wherever they lie, and neither extensions nor protocols are of any interest to it.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.media.orientation import UPRIGHT
from orchestrator.data.media.turning import matroska_orientation, mp4_orientation
from orchestrator.data.places.content import Content
from orchestrator.data.places.wording import shown
from orchestrator.errors import StorageError

MP4, MATROSKA, AVI, FLV = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flv"
# Named, so that no playlist (HLS, DASH, concat) leads anywhere, and no rare parser is reached.
FORMATS = (MP4, MATROSKA, AVI, FLV, "mpegts", "mpeg", "asf", "gif")

# Times that no film has do not fit where FFmpeg keeps them.
_BROKEN = (av.FFmpegError, OverflowError)
_NOWHERE = -1
_BAD_SIDE = 1 << 16
_MARGINS = 1 << 20
_MOST_FOR_DECODER = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Film:
    """An opened video."""

    container: InputContainer
    stream: VideoStream
    orientation: int
    """EXIF orientation of its frames."""

    what: str
    """What it is called in messages."""

    @property
    def format(self) -> str:
        """One of ``FORMATS``."""
        return self.container.format.name


@contextmanager
def opened(content: Content, max_pixels: int) -> Iterator[Film]:
    """Open a video, and give what goes wrong with it while open its proper name.

    Args:
        content: The video.
        max_pixels: Frames that are larger are refused, by the header and by the decoder.

    Raises:
        BadSampleError: It is no video of a kind we read, too large, or broken.
        StorageError: The store did not answer.
    """
    what, trouble = shown("video", content.name), "is no video of a kind we read, or cut short"
    with content.open() as file:
        source = _Source(file)
        try:
            with _container(source, max_pixels) as container:
                trouble = "cannot be decoded"
                stream = _stream(container, what, max_pixels)
                yield Film(container, stream, _orientation(container, stream, source), what)
        except (*_BROKEN, BadSampleError) as error:
            source.raise_fault()
            if isinstance(error, BadSampleError):
                raise
            complaint = getattr(error, "strerror", None) or error
            raise BadSampleError(
                f"{what} {trouble} ({complaint})", "Write the file again, as MP4, WebM or AVI"
            ) from error
        source.raise_fault()


class _Source:
    """What FFmpeg reads from. A fault ends the file for it, and is kept for whoever asks."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._fault: Exception | None = None

    def read(self, num_bytes: int) -> bytes:
        try:
            return b"" if self._fault else self._file.read(num_bytes)
        except Exception as error:  # noqa: BLE001 - must not pass through C, where it is lost
            self._fault = error
            return b""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            # A broken film names places that no file has.
            return _NOWHERE
        except Exception as error:  # noqa: BLE001 - as above
            self._fault = error
            return _NOWHERE

    def tell(self) -> int:
        return self._file.tell()

    def raise_fault(self) -> None:
        """Say that the store failed, if it did: whatever came after is no fault of the video.

        Raises:
            BadSampleError: As the file had it.
            StorageError: The store did not answer.
        """
        if isinstance(self._fault, OSError):
            raise StorageError(
                f"cannot be read ({self._fault.strerror or self._fault})",
                str(getattr(self._file, "name", "a video")),
                "Check the store and run again",
            ) from self._fault
        if self._fault:
            raise self._fault


def _container(source: _Source, max_pixels: int) -> InputContainer:
    return av.open(
        source,
        "r",
        options={
            "format_whitelist": ",".join(FORMATS),
            "protocol_whitelist": "none",
            "threads": "1",
            "max_pixels": _for_decoder(max_pixels),
        },
        # Titles are in any encoding.
        metadata_errors="replace",
        io_open=_refuse,
    )


def _for_decoder(max_pixels: int) -> str:
    """The limit where a film changes its size half way, or lies: decoders count margins too."""
    return str(min(2 * max_pixels + _MARGINS, _MOST_FOR_DECODER))


def _refuse(url: str, *_: object) -> NoReturn:
    raise PermissionError(f"a video may not name {url}")


def _stream(container: InputContainer, what: str, max_pixels: int) -> VideoStream:
    """The first stream of moving pictures, ready to be decoded alike everywhere."""
    streams = [
        stream
        for stream in container.streams.video
        # The cover of a song.
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        raise BadSampleError(
            f"{what} holds no pictures", "Give a whole file that has a video stream"
        )
    stream = streams[0]
    codec = stream.codec_context
    if codec is None:
        raise BadSampleError(f"{what} is of an unknown codec", "Write it again as H.264")
    _refuse_size(stream, what, max_pixels)
    codec.thread_count = 1
    codec.options = {"max_pixels": _for_decoder(max_pixels), "flags": "bitexact"}
    return stream


def _refuse_size(stream: VideoStream, what: str, max_pixels: int) -> None:
    width, height = stream.width, stream.height
    if not (0 < width < _BAD_SIDE and 0 < height < _BAD_SIDE):
        raise BadSampleError(f"{what} names no size of its frames", "Write the file again")
    if width * height > max_pixels:
        raise BadSampleError(
            f"video of {width} x {height} pixels a frame, at most {max_pixels} in all",
            "Write it smaller, or raise images.max_source_pixels",
        )


def _orientation(container: InputContainer, stream: VideoStream, source: _Source) -> int:
    """Orientation by the header, leaving the file where FFmpeg believes it to be."""
    position = source.tell()
    try:
        if container.format.name == MP4:
            return mp4_orientation(source, stream.id)
        if container.format.name == MATROSKA:
            return matroska_orientation(source, container.streams.video.index(stream))
        return UPRIGHT
    finally:
        source.seek(position)
