"""Small pictures inside the page itself, as many as there is room for."""

from base64 import b64encode
from collections.abc import Callable, Sequence

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.lint.finding import ExampleMedium
from orchestrator.data.lint.words import escaped
from orchestrator.errors import StorageError

Thumbnail = Callable[[ExampleMedium], bytes | None]
"""A small JPEG, PNG or WebP of a medium, or None where there is none to be had."""

_MOST_CHARACTERS = 2_000_000
"""Of all pictures of a page, as it holds them."""
_LARGEST_BYTES = 48_000
_KINDS = ((b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"RIFF", "webp"))


class Thumbnails:
    """Makes pictures for one page and keeps its size within bounds."""

    def __init__(self, thumbnail: Thumbnail) -> None:
        self._thumbnail = thumbnail
        self._left = _MOST_CHARACTERS
        self._known: dict[tuple[str, int, str], str | None] = {}

    def strip(self, media: Sequence[ExampleMedium], most: int) -> str:
        """Show the first media side by side, and say how many more there are."""
        if not media:
            return ""
        # A word about one more would take the room of that one.
        most = len(media) if len(media) == most + 1 else most
        shown = [self._picture(medium) for medium in media[:most]]
        if len(media) > most:
            shown.append(f'<span class="none">{len(media) - most} more</span>')
        return f'<div class="strip">{"".join(shown)}</div>'

    def _picture(self, medium: ExampleMedium) -> str:
        place = (medium.url, medium.offset, medium.uri)
        if place not in self._known:
            self._known[place] = self._address(medium)
        address = self._known[place]
        name = escaped(medium.uri, 80)
        if address is None or len(address) > self._left:
            return f'<span class="none" title="{name}">not shown</span>'
        # Each time anew: a page has no way to show a picture twice that it holds once.
        self._left -= len(address)
        return f'<img src="{address}" alt="{name}" title="{name}" loading="lazy">'

    def _address(self, medium: ExampleMedium) -> str | None:
        """A ``data:`` address, or None: the page is a help, and never the reason to fail."""
        try:
            content = self._thumbnail(medium)
        except (BadSampleError, StorageError):
            return None
        if content is None or len(content) > _LARGEST_BYTES:
            return None
        kind = next((name for start, name in _KINDS if content.startswith(start)), None)
        if kind is None:
            return None
        return f"data:image/{kind};base64,{b64encode(content).decode()}"
