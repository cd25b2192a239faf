"""EC2's metadata service on this host's loopback; a file says what it announces.

    python -m tests.launch.metadata_file PORT FILE

The file holds the answer to ``spot/instance-action`` as JSON, once there is one.
"""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.metadata.clouds import FakeAws
from tests.metadata.server import Service

LOOK_S = 0.1


def main(port: int, file: Path) -> None:
    service = Service(FakeAws(), port=port).start()
    print("listening", flush=True)
    while True:
        with suppress(FileNotFoundError, json.JSONDecodeError):
            service.cloud.interruption = json.loads(file.read_text())
        time.sleep(LOOK_S)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
