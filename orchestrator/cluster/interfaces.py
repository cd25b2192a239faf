"""Which network device Gloo listens at: that of the address by which Ray knows the node.

Left alone, Gloo looks up the machine's own name. Where that leads to no address, or to loopback
(as Debian's ``/etc/hosts`` has it), each machine meets itself alone.
"""

import fcntl
import os
import socket
import struct

_SIOCGIFADDR = 0x8915
_NAME = "GLOO_SOCKET_IFNAME"


def meet_at(address: str) -> None:
    """Have Gloo listen at this node's address, from now on and in this process.

    What the machine's owner has set counts. An address that is no device's first (behind NAT,
    or of IPv6) leaves the choice to Gloo.
    """
    device = device_of(address)
    if device is not None:
        os.environ.setdefault(_NAME, device)


def device_of(address: str) -> str | None:
    """The network device whose first IPv4 address this is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode())
            try:
                answer = fcntl.ioctl(any_socket.fileno(), _SIOCGIFADDR, request)
            except OSError:
                # A device without an address.
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return None
