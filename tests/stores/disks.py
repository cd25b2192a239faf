"""Disks that are full or cannot be written, made for one test and gone after it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A file system in memory with room for little."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._ballast = root / "ballast"

    def fill(self) -> None:
        """Leave no byte."""
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                return

    def make_room(self) -> None:
        self._ballast.unlink()

    def make_readonly(self, *, readonly: bool) -> None:
        _run("mount", "-o", f"remount,{'ro' if readonly else 'rw'}", str(self.root))


@contextmanager
def small_disk(root: Path, num_bytes: int) -> Iterator[SmallDisk]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    root.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "tmpfs", str(root))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this machine mounts nothing: {error.stderr!r}")
    try:
        yield SmallDisk(root)
    finally:
        _run("umount", "--lazy", str(root))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=20)
