"""Whoever reaches a port without the token: what does it tell?

    python -m tests.launch.stranger ADDRESS:PORT …

Run on a host that is no part of the cluster; prints one JSON object, a verdict for each.
``refused``: nobody is reached there. ``closed``: it asks for the token, and says so.
``open``: it answers, or takes what is sent.
"""

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

CONNECT_S = 2.0
ANSWER_S = 2.0
MOST_ASKED = 16
METHODS = (
    "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "/ray.rpc.InternalKVGcsService/InternalKVKeys",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "/ray.rpc.ObjectManagerService/Pull",
    "/ray.rpc.ReporterService/GetTraceback",
    "/ray.rpc.events.EventAggregatorService/AddEvents",
    "/ray.rpc.RayletDriver/Init",
    "/torchft.LighthouseService/Quorum",
    "/torchft.ManagerService/Quorum",
)
"""One of each service that there may be: only its own server asks for the token."""


def verdict(place: str) -> str:
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except OSError as error:
        return f"refused: {type(error).__name__}"
    return by_http(host, int(port)) or by_grpc(place) or "open: it takes a connection"


def by_http(host: str, port: int) -> str | None:
    """What it says to a plain request; None where it does not speak HTTP."""
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    with socket.create_connection((host, port), CONNECT_S) as line:
        line.settimeout(ANSWER_S)
        try:
            line.sendall(request.encode())
            answer = line.recv(200)
        except OSError:
            return None
    if not answer.startswith(b"HTTP/"):
        return None
    status = answer.split()[1].decode()
    return f"{'closed' if status in ('401', '403') else 'open'}: HTTP {status}"


def by_grpc(place: str) -> str | None:
    """What it says to calls without a token; None where it does not speak gRPC."""
    with grpc.insecure_channel(place) as channel:
        try:
            grpc.channel_ready_future(channel).result(ANSWER_S)
        except grpc.FutureTimeoutError:
            return None
        for method in METHODS:
            code = said_to(channel, method)
            if code is None:
                return f"open: answers {method}"
            if code is grpc.StatusCode.UNAUTHENTICATED:
                return f"closed: {method} is unauthenticated"
            if code is not grpc.StatusCode.UNIMPLEMENTED:
                return f"open: {method} says {code.name}"
    return "open: gRPC of another kind"


def said_to(channel: grpc.Channel, method: str) -> grpc.StatusCode | None:
    """The code that a call without a token ends with; None: it was answered."""
    try:
        channel.unary_unary(method)(b"", timeout=ANSWER_S)
    except grpc.RpcError as error:
        return error.code()
    return None


if __name__ == "__main__":
    places = sys.argv[1:]
    with ThreadPoolExecutor(MOST_ASKED) as pool:
        print(json.dumps(dict(zip(places, pool.map(verdict, places), strict=True))))
