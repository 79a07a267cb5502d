"""What is within a file though no column says it: orders' products, members' consents, amounts in two columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from features.column_match import FITS, SAME_WORD
from features.sketch import Look, Sketch
from features.words import CHANNEL_WORDS, COLUMNS, CONSENT, PRICE, REFUSAL, likeness, says


def has_products(sketch: Sketch) -> bool:
    """Whether a file names products, so that an order may have several rows."""
    words = COLUMNS["order_lines"]["product_id"]
    return any(likeness(look.name, words, ours="product_id") >= SAME_WORD for look in sketch.columns)


def by_piece(amount: Look, sketch: Sketch) -> Look:
    """Return an amount as it is or, where it is the price of a piece and there is a quantity, their product."""
    quantity = next((look for look in sketch.columns if _is_quantity(look)), None)
    is_price = likeness(amount.name, PRICE) >= SAME_WORD
    return multiplied(amount, quantity) if is_price and quantity is not None else amount


def multiplied(price: Look, quantity: Look) -> Look:
    """Return what the product of two columns would hold."""
    example = f"{price.frequent[0]} * {quantity.frequent[0]}"
    negative = price.has_negatives or quantity.has_negatives
    return replace(price, name=f"{price.name} * {quantity.name}", has_negatives=negative, frequent=(example,))


def _is_quantity(look: Look) -> bool:
    is_number = look.fits.get("amount", 0.0) >= FITS and bool(look.frequent)
    return is_number and likeness(look.name, COLUMNS["order_lines"]["quantity"], ours="quantity") >= SAME_WORD


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
