"""How strong something unseen would have to be to explain an effect away."""

from __future__ import annotations

import numpy as np

SMALLEST_SHARE = 1e-6


def unseen_strength(base: float, *, low: float, high: float) -> float:
    """Return the E-value of an interval for a difference of shares (VanderWeele and Ding, 2017).

    Parameters
    ----------
    base
        Share who order without treatment.
    low, high
        Interval of what treatment adds to it.

    Returns
    -------
    float
        The risk ratio, at least 1, with which something not in the data would have to go together with being treated
        *and* with ordering, to move the nearer end of the interval to zero. 1 where the interval holds zero.
    """
    nearest = low if low > 0 else high if high < 0 else 0.0
    if not nearest:
        return 1.0
    control = float(np.clip(base, SMALLEST_SHARE, 1))
    treated = float(np.clip(control + nearest, SMALLEST_SHARE, 1))
    ratio = max(treated / control, control / treated)
    return float(ratio + np.sqrt(ratio * (ratio - 1)))
