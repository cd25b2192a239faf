"""A wire between two network devices that loses frames, in user space.

    python lossy_wire.py DEVICE DEVICE FILE

The file holds the part that is lost, 0 to 1, and may be changed at any time.
"""

import random
import select
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

EVERYTHING = 3
SOL_PACKET, PACKET_VNET_HDR = 263, 15
"""Frames come with a header in which the kernel says what it left undone: checksums, and the
cutting of large ones. Sent on with it, they arrive as if nobody had looked at them."""
LARGEST = 1 << 17
LOOK_S = 0.1


def opened(device: str) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING))
    end.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    end.bind((device, 0))
    end.settimeout(0)
    return end


def main(one: str, other: str, file: Path) -> None:
    ends = [opened(one), opened(other)]
    across = {ends[0]: ends[1], ends[1]: ends[0]}
    # The same frames are lost in every run of the same traffic.
    rng = random.Random(0)
    loss, looked_s = 0.0, 0.0
    while True:
        if time.monotonic() - looked_s > LOOK_S:
            looked_s = time.monotonic()
            with suppress(OSError, ValueError):
                loss = float(file.read_text())
        for end in select.select(ends, [], [], LOOK_S)[0]:
            with suppress(OSError):
                frame, sender = end.recvfrom(LARGEST)
                # What we send ourselves comes by as well.
                if sender[2] != socket.PACKET_OUTGOING and rng.random() >= loss:
                    across[end].send(frame)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
