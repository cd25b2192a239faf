"""Where the content of one medium lies."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """A file, or a run of bytes in one."""

    url: str
    """Absolute local path, without a scheme, or a URL that fsspec opens."""

    offset: int = 0
    length: int | None = None
    """Bytes; None: to the end."""

    @property
    def is_remote(self) -> bool:
        """Whether it is behind a URL."""
        return "://" in self.url

    @property
    def is_whole(self) -> bool:
        """Whether it is all that is at the URL."""
        return self.length is None and not self.offset
