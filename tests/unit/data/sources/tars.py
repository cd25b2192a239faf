"""Tars made in code."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

File = tuple[str, bytes]


def write_tar(path: Path, files: Iterable[File], kind: int = tarfile.USTAR_FORMAT) -> Path:
    """Write files into a tar, in this order."""
    with tarfile.open(path, "w", format=kind) as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path
