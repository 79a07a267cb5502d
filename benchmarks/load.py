"""Servers in processes of their own, and bounded load on them over kept-alive loopback connections."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import psutil

HOST = "127.0.0.1"
READY_WITHIN_SECONDS = 120


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
    with _no_pauses():
        return asyncio.run(_closed_loop(server, requests, callers, count))


def arrivals(server: Server, requests: Sequence[bytes], *, per_second: float, count: int, callers: int = 64) -> Timings:
    """Let requests arrive at a fixed rate, whatever the answers take; latency counts from when each was due."""
    with _no_pauses():
        return asyncio.run(_arrivals(server, requests, per_second, count, callers))


@contextmanager
def _no_pauses() -> Iterator[None]:
    """Look for garbage afterwards: while we do, no answer is taken in, and the server would be said to be late."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _closed_loop(server: Server, requests: Sequence[bytes], callers: int, count: int) -> Timings:
    latencies, failed, turn = [], 0, iter(range(count))

    async def caller() -> None:
        nonlocal failed
        async with _connection(server) as ask:
            for number in turn:
                began = time.perf_counter()
                status = await ask(requests[number % len(requests)])
                latencies.append(time.perf_counter() - began)
                failed += status != 200

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return Timings(np.array(latencies), time.perf_counter() - began, failed)


async def _arrivals(server: Server, requests: Sequence[bytes], per_second: float, count: int, callers: int) -> Timings:
    latencies, failed = [], 0
    due: asyncio.Queue[tuple[int, float] | None] = asyncio.Queue()

    async def caller() -> None:
        nonlocal failed
        async with _connection(server) as ask:
            while (arrived := await due.get()) is not None:
                number, at = arrived
                status = await ask(requests[number % len(requests)])
                latencies.append(time.perf_counter() - at)
                failed += status != 200

    working = [asyncio.create_task(caller()) for _ in range(callers)]
    began = time.perf_counter()
    for number in range(count):
        at = began + number / per_second
        if (wait := at - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        due.put_nowait((number, at))
    for _ in working:
        due.put_nowait(None)
    await asyncio.gather(*working)
    return Timings(np.array(latencies), time.perf_counter() - began, failed)


class _connection:  # noqa: N801 -- used as a context
    def __init__(self, server: Server) -> None:
        self._port = server.port

    async def __aenter__(self) -> Callable[[bytes], Awaitable[int]]:
        self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
        return self._ask

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def _ask(self, request: bytes) -> int:
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]
        await self._reader.readexactly(int(length))
        return int(head[9:12])


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
