"""What is known of the members a call is about, wherever it comes from, and what can be said of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeVar

import pandas as pd

from features.catalogue import feature_names
from features.programme import Programme
from features.schemas import Tables
from serving.bundle import ModelBundle
from serving.contracts import Features, ItemError
from serving.decisions import REASONS, Candidates, candidates, decided_columns
from serving.policy_table import PolicyTable
from serving.ration import Ration
from serving.records import DecisionRecord, decision_records
from serving.scoring import SenselessError

T = TypeVar("T")
Outcome = DecisionRecord | ItemError

_SENSELESS: Final = (
    "the model has no sensible score for these features: one that every member has may be null, or they contradict "
    "each other"
)


@dataclass(frozen=True)
class Known:
    """Members to decide about, in one or more parts, and the errors of those nothing can be said of."""

    parts: tuple[Candidates, ...] = ()
    errors: Mapping[str, ItemError] = field(default_factory=dict)

    def __or__(self, other: Known) -> Known:
        """Put both together."""
        return Known((*self.parts, *other.parts), {**self.errors, **other.errors})


def from_tables(tables: Tables, member_ids: Collection[str], as_of: datetime, programme: Programme) -> Known:
    """Return what canonical tables tell of the members before a naive UTC instant."""
    return from_candidates(candidates(tables, as_of, programme), member_ids, programme)


def from_candidates(known: Candidates, member_ids: Collection[str], programme: Programme) -> Known:
    """Return the members who are candidates, and say of the others why they are none."""
    told = {*known.features["member_id"], *known.not_eligible}
    return Known(
        (known,),
        {
            **nothing_known((member_id for member_id in member_ids if member_id not in told), known.as_of),
            **dict.fromkeys(known.not_eligible, not_eligible(programme)),
        },
    )


def from_features(rows: Iterable[Features], as_of: datetime, programme: Programme) -> Known:
    """Return members by the features of the catalogue, which must all be there.

    Features do not tell who consents: nobody does, unless the programme states that all do.
    """
    names = feature_names(programme.windows)
    fitting, errors = [], {}
    for row in rows:
        given = row.values  # noqa: PD011 -- a field of ours
        wrong = sorted(set(names) ^ set(given))
        if wrong:
            what = ", ".join(wrong[:5]) + (", ..." if len(wrong) > 5 else "")
            message = f"the features must be those of the catalogue; missing or unknown: {what}"
            errors[row.member_id] = ItemError(code="invalid_features", message=message, field="values")
        else:
            fitting.append({"member_id": row.member_id, "as_of": as_of, **given})
    if not fitting:
        return Known((), errors)
    types = {"member_id": "str", "as_of": "datetime64[us]", **dict.fromkeys(names, "float64")}
    nobody = pd.DataFrame({"member_id": [], "channel": [], "updated_at": []}, dtype="str")
    consent = pd.DataFrame({**nobody, "consent": pd.Series(dtype="bool")}).astype({"updated_at": "datetime64[us]"})
    known = Candidates(
        as_of=as_of,
        features=pd.DataFrame(fitting, columns=list(types)).astype(types),
        contacts=None if programme.data.contacts is None else consent,
        unsubscribed=consent.drop(columns="consent"),
        not_eligible=(),
    )
    return Known((known,), errors)


def nothing_known(member_ids: Iterable[str], as_of: datetime) -> dict[str, ItemError]:
    """Say of members that there is no row about them."""
    message = f"nothing is known of this member before {as_of.isoformat()} UTC: no order, no joining"
    return dict.fromkeys(member_ids, ItemError(code="no_history", message=message, field="orders"))


def decide_known(
    known: Known,
    bundle: ModelBundle,
    policy_table: PolicyTable | None,
    programme: Programme,
    ration: Ration | None,
    *,
    reasons: int = REASONS,
) -> dict[str, Outcome]:
    """Return each member's decision, with at most so many reasons, or the error that stands in its place."""

    def decide(part: Candidates) -> dict[str, DecisionRecord]:
        records = decision_records(decided_columns(part, bundle, policy_table, programme, ration, top=reasons))
        return {record.member_id: record for record in records}

    return said_of(known, decide)


def said_of(known: Known, say: Callable[[Candidates], Mapping[str, T]]) -> dict[str, T | ItemError]:
    """Say something of every member; of those whose features make no sense to the model, that they do not."""
    said: dict[str, T | ItemError] = dict(known.errors)
    for part in known.parts:
        try:
            said |= say(part)
        except SenselessError as error:
            names = part.features["member_id"].to_numpy(object)[error.rows]
            said |= dict.fromkeys(names, ItemError(code="invalid_features", message=_SENSELESS, field="values"))
            rest = replace(part, features=part.features[~error.rows].reset_index(drop=True))
            said |= said_of(Known((rest,) if len(rest.features) else ()), say)
    return said


def not_eligible(programme: Programme) -> ItemError:
    """Say of members that the programme does not score them."""
    days = programme.eligible.ordered_within_days
    return ItemError(code="not_eligible", message=f"the programme scores members who ordered within {days} days only")
