"""One run at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import RefusedError


@contextmanager
def only_run(file: Path, what: str) -> Iterator[None]:
    """Hold a lock on a file; the system lets go of it when the process ends, however it ends.

    Raises
    ------
    RefusedError
        If another process holds it, or the file is somebody else's.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        opened = file.open("a+", encoding="utf-8")
    except PermissionError as error:
        raise RefusedError(
            f"{what} needs the lock {file}, which another user made; run as that user, or let this one write there"
        ) from error
    with opened as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            held.seek(0)
            raise RefusedError(
                f"{what} is running already (process {held.read().strip()}, lock {file}); wait until it ends"
            ) from error
        held.truncate(0)
        held.write(f"{os.getpid()}\n")
        held.flush()
        yield
