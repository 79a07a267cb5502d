"""Servers in processes of their own, and bounded load on them over kept-alive loopback connections."""

from __future__ import annotations

import gc
import os
import select
import socket
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import psutil

HOST = "127.0.0.1"
READY_WITHIN_SECONDS = 120
OK = 200


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    pid: int

    def memory(self) -> int:
        """Resident bytes of all its processes."""
        root = psutil.Process(self.pid)
        return sum(process.memory_info().rss for process in (root, *root.children(recursive=True)))


@dataclass(frozen=True)
class Timings:
    """How a load was answered: seconds per request, over how many in all, and how many were not answered with 200."""

    latencies: np.ndarray
    seconds: float
    failed: int

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        return float(np.quantile(self.latencies, share))


def post(path: str, body: bytes, key: str | None = None) -> bytes:
    """Write a request as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {HOST}", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def serving(command: Sequence[str], port: int, folder: Path, **environment: str) -> Iterator[Server]:
    """Run a server until the block ends."""
    with (folder / f"{port}.log").open("w") as log:
        settings = {**os.environ, **environment}
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=settings)
        try:
            _wait_until_ready(process, port)
            yield Server(port, process.pid)
        finally:
            process.terminate()
            process.wait(timeout=60)


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with closing(socket.socket()) as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
        return port


def closed_loop(server: Server, requests: Sequence[bytes], *, callers: int, count: int) -> Timings:
    """Let callers ask one request after the other, each waiting for its answer."""
    return _ask(server, requests, callers, [0.0] * count, from_due=False)


def arrivals(server: Server, requests: Sequence[bytes], *, per_second: float, count: int, callers: int = 64) -> Timings:
    """Let requests arrive at a fixed rate, whatever the answers take; latency counts from when each was due."""
    return _ask(server, requests, callers, [number / per_second for number in range(count)], from_due=True)


def _ask(server: Server, requests: Sequence[bytes], callers: int, due: Sequence[float], *, from_due: bool) -> Timings:
    """Send each request when it is due and a caller is free, over connections that are open before the first.

    One thread and no event loop: what the load itself takes would be said to be the server's.
    """
    latencies, failed, waiting = [], 0, 0
    with ExitStack() as stack, _no_pauses():
        free = deque(stack.enter_context(closing(_Connection(server.port))) for _ in range(callers))
        asked: dict[socket.socket, _Connection] = {}
        began = time.perf_counter()
        while waiting < len(due) or asked:
            now = time.perf_counter() - began
            while free and waiting < len(due) and due[waiting] <= now:
                connection = free.popleft()  # in turn: the server closes those long idle
                connection.ask(requests[waiting % len(requests)], began + due[waiting] if from_due else None)
                asked[connection.socket] = connection
                waiting += 1
            until_next = max(0.0, due[waiting] - now) if free and waiting < len(due) else None
            for readable in select.select(list(asked), [], [], until_next)[0]:
                if asked[readable].is_answered():
                    connection = asked.pop(readable)
                    latencies.append(time.perf_counter() - connection.since)
                    failed += connection.status != OK
                    free.append(connection)
        return Timings(np.array(latencies), time.perf_counter() - began, failed)


class _Connection:
    """A caller's kept-alive connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since, self.status = 0.0, 0
        self._received = b""

    def ask(self, request: bytes, due: float | None) -> None:
        self.since, self._received = due or time.perf_counter(), b""
        self.socket.sendall(request)

    def is_answered(self) -> bool:
        """Take in what has come, and tell whether that is all of the answer."""
        received = self.socket.recv(1 << 18)
        if not received:
            raise ConnectionError("the server closed a connection")
        self._received += received
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return False
        self.status = int(head[9:12])
        length = head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]
        return len(body) >= int(length)

    def close(self) -> None:
        self.socket.close()


@contextmanager
def _no_pauses() -> Iterator[None]:
    """Look for garbage afterwards: while we do, no answer is taken in, and the server would be said to be late."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _wait_until_ready(process: subprocess.Popen, port: int) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while True:
        try:
            with urlopen(f"http://{HOST}:{port}/readyz", timeout=5):
                return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server at port {port} did not start") from error
            time.sleep(0.1)
