"""Why members leave, in the words of the trade: reason codes gathered into a handful of causes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import pandas as pd

from features.catalogue import catalogue
from features.settings import Family
from features.settings_members import Windows

Cause = Literal["price", "service", "mismatch", "fatigue", "cadence"]

BY_CODE: Final[Mapping[str, Cause]] = {
    "messages": "fatigue",
    "message_response": "fatigue",
    "offers": "fatigue",
    "points": "price",
}
"""Reason codes whose cause is not that of their feature's family."""

BY_FAMILY: Final[Mapping[Family, Cause]] = {
    "rfm": "cadence",
    "cadence": "cadence",
    "engagement": "cadence",
    "journey": "cadence",
    "price": "price",
    "breadth": "mismatch",
    "care": "service",
}
"""Causes of all other reasons, by the family of the feature that speaks; what a formula expects is cadence."""

NO_CAUSE: Final = "none"


def cause(code: str, feature: str, families: Mapping[str, Family]) -> Cause:
    """Return the cause a reason belongs to."""
    return BY_CODE.get(code) or BY_FAMILY[families.get(feature, "rfm")]


def tally_causes(members: pd.DataFrame, windows: Windows) -> pd.DataFrame:
    """Count members and add up value at stake by the cause that raises their risk most.

    Parameters
    ----------
    members
        Decisions with ``reasons`` and ``value_at_stake``; of a reason, ``code``, ``feature``, ``shap_value`` and its
        sentences ``en`` and ``zh`` are read.
    windows
        The programme's window lengths, which name the features.

    Returns
    -------
    pandas.DataFrame
        Per ``cause``, the most frequent first: ``members`` it moves most and their ``value_at_stake``; ``touched``,
        members it moves at all; ``en`` and ``zh``, the sentence about it of the member with most at stake. Members whom
        no reason moves towards leaving count as ``none``.
    """
    families = {feature.name: feature.family for feature in catalogue(windows)}
    raising = pd.DataFrame(
        (
            (row, cause(reason["code"], reason["feature"], families), reason["shap_value"], reason["en"], reason["zh"])
            for row, of_member in enumerate(members["reasons"])
            for reason in of_member
            if reason["shap_value"] > 0
        ),
        columns=["row", "cause", "strength", "en", "zh"],
    )
    stake = members["value_at_stake"].to_numpy()
    moved = raising.groupby(["row", "cause"], as_index=False).agg(
        strength=("strength", "sum"), en=("en", "first"), zh=("zh", "first")
    )
    moved["value_at_stake"] = stake[moved["row"].to_numpy(int)]
    main = moved.sort_values(["row", "strength", "cause"], ascending=[True, False, True]).drop_duplicates("row")
    counted = main.groupby("cause").agg(members=("row", "size"), value_at_stake=("value_at_stake", "sum"))
    touched = moved.groupby("cause").size().rename("touched")
    loudest = main.sort_values(["value_at_stake", "row"], ascending=[False, True]).drop_duplicates("cause")
    found = counted.join(touched, how="outer").join(loudest.set_index("cause")[["en", "zh"]])
    silent = len(members) - len(main)
    if silent:
        left = float(stake.sum() - main["value_at_stake"].sum())
        found.loc[NO_CAUSE, ["members", "value_at_stake", "touched"]] = (silent, left, 0)
    numbers = ["members", "value_at_stake", "touched"]
    found[numbers] = found[numbers].fillna(0.0)
    return found.sort_values(["members", "touched"], ascending=False).reset_index(names="cause")
