"""How the service's threads and processes share interpreter and processors: what answers at once goes first."""

from __future__ import annotations

import gc
import os
import sys
import threading
from typing import Final

TURN_SECONDS: Final = 0.0005
"""How long a thread runs Python before one that waits gets its turn; Python's own 5 ms is ten answers' time."""

YOUNG_OBJECTS: Final = 50_000
"""How many new objects Python lets pass before it looks for garbage: what answers calls makes hardly any cycles."""

_NICENESS: Final = 10


def share_closely() -> None:
    """Let threads that wait for the interpreter wait for a short while only."""
    sys.setswitchinterval(TURN_SECONDS)


def step_back() -> None:
    """Let the other threads go before the calling one where processors are short; Linux counts threads one by one."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def settle() -> None:
    """Look for garbage among what is there for the last time, and from now on rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
