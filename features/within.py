"""Tables within the file of another: products in an export of orders, consents in a file of members."""

from __future__ import annotations

from collections.abc import Sequence

from features.column_match import FITS, SAME_WORD
from features.sketch import Look, Sketch
from features.words import CHANNEL_WORDS, COLUMNS, CONSENT, REFUSAL, likeness, says


def has_products(sketch: Sketch) -> bool:
    """Whether a file names products, so that an order may have several rows."""
    words = COLUMNS["order_lines"]["product_id"]
    return any(likeness(look.name, words, ours="product_id") >= SAME_WORD for look in sketch.columns)


def consents(looks: Sequence[Look]) -> dict[str, str]:
    """Return per channel the column that tells a member's consent; one that names no channel speaks for all others."""
    found: dict[str, str] = {}
    general = None
    for look in (look for look in looks if _is_consent(look)):
        channel = next((name for name, words in CHANNEL_WORDS.items() if says(look.name, words)), None)
        if channel is None:
            general = general or look.name
        else:
            found.setdefault(channel, look.name)
    return found if general is None else {channel: found.get(channel, general) for channel in CHANNEL_WORDS}


def _is_consent(look: Look) -> bool:
    is_flag = look.fits.get("flag", 0.0) >= FITS and not look.is_unique
    return is_flag and says(look.name, CONSENT) and not says(look.name, REFUSAL)
