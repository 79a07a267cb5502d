"""Servers in processes of their own."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

from serving.server import HOST

READY_WITHIN_SECONDS = 240


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with closing(socket.socket()) as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
        return port


def caller(port: int) -> httpx.Client:
    """A client to a server of this machine."""
    return httpx.Client(base_url=f"http://{HOST}:{port}", timeout=60, trust_env=False)


@contextmanager
def answering(arguments: Sequence[str | Path], port: int, log: Path) -> Iterator[httpx.Client]:
    """Yield a client to a server once it is ready; told to end, it must do so, and call that a success."""
    with log.open("w") as output, caller(port) as client:
        process = subprocess.Popen(arguments, cwd=log.parent, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_until_ready(client, process, log)
            yield client
        finally:
            process.terminate()
            ended = process.wait(timeout=30)
        assert ended == 0, log.read_text()


def wait_until_ready(client: httpx.Client, process: subprocess.Popen, log: Path, path: str = "/readyz") -> None:
    """Return once the server answers; fail with its log when it ends before, or takes too long."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while not _is_ready(client, path):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def _is_ready(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).status_code == 200
    except httpx.TransportError:
        return False
