"""How sure a column of a file is one of ours, and what their values are called among ours."""

from __future__ import annotations

from features.schemas import EVENTS, Column, Contract
from features.sketch import Look
from features.words import CHANNEL_WORDS, COLUMNS, CONTROL, EVENT_WORDS, PRICE, likeness

SAME_WORD = 0.6
FITS = 0.9
_PRICE_FOR_AMOUNT = 0.7


def event_of(value: str) -> str | None:
    """Return the event of our vocabulary that a value means."""
    best = max(EVENTS, key=lambda event: likeness(value, EVENT_WORDS[event], ours=event))
    return best if likeness(value, EVENT_WORDS[best], ours=best) >= SAME_WORD else None


def channel_of(value: str) -> str | None:
    """Return the channel of ours that a value means."""
    best = max(CHANNEL_WORDS, key=lambda channel: likeness(value, CHANNEL_WORDS[channel], ours=channel))
    return best if likeness(value, CHANNEL_WORDS[best], ours=best) >= SAME_WORD else None


def is_control(value: str) -> bool:
    """Whether an incentive's name says that nothing was sent."""
    return likeness(value, CONTROL) >= SAME_WORD


def score(contract: Contract, column: Column, look: Look, *, refers: bool, may_repeat: bool) -> float:
    """Return how sure a column is ours: three parts name, one part what it holds.

    Parameters
    ----------
    contract, column
        Ours.
    look
        Theirs.
    refers
        Whether its values are ids of another file.
    may_repeat
        Whether an id of ours may be there more than once.
    """
    called = likeness(look.name, COLUMNS[contract.name].get(column.name, {}), ours=column.name)
    if column.name == "net_amount":
        called = max(called, _PRICE_FOR_AMOUNT * likeness(look.name, PRICE))
    is_counted_time = column.kind == "instant" and bool(look.counted) and called >= SAME_WORD
    if not look.filled or (look.fits.get(column.kind, 1.0) < FITS and not is_counted_time):
        return 0.0
    if column.kind in ("id", "text", "event", "code") and not may_be_id(look):
        return 0.0
    if not column.required:
        return called if called >= SAME_WORD else 0.0
    holds = _holds(contract, column, look, refers)
    if contract.key == (column.name,) and not look.is_unique and not may_repeat:
        called /= 2
    return 0.75 * called + 0.25 * holds if called else 0.4 * holds


def _holds(contract: Contract, column: Column, look: Look, refers: bool) -> float:
    """Return how much a column's values are like those of a required column of ours."""
    if contract.key == (column.name,):
        return float(look.is_unique)
    if column.kind == "id":
        return 1.0 if refers else 0.3 * (not look.is_unique)
    if column.kind == "amount":
        return 1.0 if look.has_fractions else 0.4
    if column.kind == "event":
        return sum(event_of(value) is not None for value in look.frequent) / max(len(look.frequent), 1) * look.is_few
    if column.kind == "code":
        ours = is_control if column.name == "incentive_id" else channel_of
        return look.is_few * (1.0 if any(map(ours, look.frequent)) else 0.3)
    return 1.0


def may_be_id(look: Look) -> bool:
    """Whether a column holds names or numbers of things, neither amounts nor times."""
    return not look.has_fractions and not look.formats
