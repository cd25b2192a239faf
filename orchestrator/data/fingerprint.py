"""What an index was made from, as one string: equal strings, equal index."""

import hashlib
import json
from pathlib import Path

from orchestrator.data.measure import MeasureSettings
from orchestrator.data.variants import Images
from orchestrator.errors import DataError

# Raised whenever the same inputs would give other rows.
_FORMAT = 1


def fingerprint(settings: MeasureSettings, images: Images = "all") -> str:
    """Hash the data file's identity, the tokenizer and template, the coder and the limits.

    The file counts by path, bytes and time of last change: hashing its content would cost a
    read of it at every start. Pictures are not looked at; a changed one changes no fingerprint.

    Raises:
        DataError: The data file is not there.
    """
    source = Path(settings.source)
    try:
        status = source.stat()
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror})",
            settings.source,
            "Give the path of a JSON or JSONL file",
        ) from error
    parts = {
        "format": _FORMAT,
        "source": str(source.resolve()),
        "bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "media_dir": str(settings.media_dir.resolve()),
        "chat": settings.chat.fingerprint(),
        "coder": repr(settings.coder),
        "max_images": settings.max_images,
        "micro_tokens": settings.micro_tokens,
        "images": images,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
