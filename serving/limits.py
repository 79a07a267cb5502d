"""How often each caller may ask: a token bucket per key."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

SECONDS_PER_MINUTE = 60.0


class RateLimit:
    """Lets a caller make a minute's requests at once, and no more than those per minute for long.

    Parameters
    ----------
    requests_per_minute
        What each caller may ask.
    clock
        Seconds that never go back.
    """

    def __init__(self, requests_per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = float(requests_per_minute)
        self._per_second = requests_per_minute / SECONDS_PER_MINUTE
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, caller: str) -> int:
        """Take one request of a caller's; return 0, or the whole seconds to wait where none is left."""
        now = self._clock()
        left, since = self._left.get(caller, (self._most, now))
        left = min(self._most, left + (now - since) * self._per_second)
        if left < 1:
            self._left[caller] = (left, now)
            return math.ceil((1 - left) / self._per_second)
        self._left[caller] = (left - 1, now)
        return 0
