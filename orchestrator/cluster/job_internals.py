"""The Ray internals that submitted jobs need, behind the version test of ``internals``.

Call ``check_version`` first.
"""

import os
from pathlib import Path
from typing import Any

from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from orchestrator.errors import InputError

ASK_S = 30.0
"""The longest silence in an answer; Ray's own client would wait without end."""


def use_token(file: Path | None) -> None:
    """Have this process show a cluster's token: that of a file, or else as Ray finds it.

    Ray finds it in ``RAY_AUTH_TOKEN``, in the file that ``RAY_AUTH_TOKEN_PATH`` names, or in
    ``~/.ray/auth_token``, but shows it only where ``RAY_AUTH_MODE`` says so.

    Raises:
        InputError: The file cannot be read.
    """
    if file is not None:
        if not os.access(file, os.R_OK):
            raise InputError(f"{file} cannot be read", "--token-file", "Give the token's file")
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(file)
        # Ray would take this one first.
        os.environ.pop("RAY_AUTH_TOKEN", None)
        os.environ["RAY_AUTH_MODE"] = "token"
    elif AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    # Ray reads the environment once, as it is imported.
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def job_client(url: str) -> Any:  # noqa: ANN401 - Ray ships no types
    """A client of Ray Jobs whose every question has an end.

    Args:
        url: The dashboard's.
    """
    # Imported here: it brings aiohttp along.
    from ray.job_submission import JobSubmissionClient  # noqa: PLC0415

    class BoundedClient(JobSubmissionClient):  # type: ignore[misc]
        """Ray's, with a limit."""

        def _do_request(self, method: str, endpoint: str, **given: Any) -> Any:  # noqa: ANN401
            return super()._do_request(method, endpoint, timeout=ASK_S, **given)

    return BoundedClient(url)
