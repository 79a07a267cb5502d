"""From raw rows to decisions: the one path of the weekly job, the service and the notebooks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from features.build import build_features
from features.errors import RefusedError
from features.programme import Programme
from features.schemas import Tables
from serving import advice
from serving.bundle import Floats, ModelBundle
from serving.by_name import Members, arrays_of, size
from serving.history import history_levels
from serving.horizons import order_probabilities
from serving.member_uplift import uplift_features
from serving.policy_table import PolicyTable
from serving.priors import next_order
from serving.ration import Ration
from serving.reasons import reasons
from serving.records import TEXTS, DecisionRecord, Decisions
from serving.scoring import Inputs, inputs_of, score, score_numbers
from serving.segments import places, segment_members

REASONS: Final = 3
"""So many reasons a decision has that is published."""


@dataclass(frozen=True)
class Candidates:
    """What is known before ``as_of`` of the members to decide about."""

    as_of: datetime
    features: pd.DataFrame
    contacts: Members | None
    unsubscribed: Members
    not_eligible: tuple[str, ...]

    def chunks(self, rows: int) -> Iterator[Candidates]:
        """Split into parts of at most so many members, in order."""
        for start in range(0, len(self.features), rows):
            yield replace(self, features=self.features.iloc[start : start + rows].reset_index(drop=True))


def decide_members(
    tables: Tables,
    as_of: datetime,
    bundle: ModelBundle,
    policy_table: PolicyTable | None,
    programme: Programme,
    member_ids: Collection[str] | None = None,
    ration: Ration | None = None,
) -> pd.DataFrame:
    """Decide about all eligible members, or those of them that are named.

    Parameters
    ----------
    tables
        Canonical tables.
    as_of
        Naive UTC; nothing from this instant on is seen.
    bundle
        The model; it refuses an ``as_of`` before the end of its training data.
    policy_table
        Effects of the incentives; without one no incentive is recommended.
    programme
        Settings of the programme.
    member_ids
        Only these; None means all.
    ration
        What set-up costs and a budget leave of the policy; the current publication has one where they take anything.

    Returns
    -------
    pandas.DataFrame
        One row per member with the fields of :class:`serving.records.DecisionRecord`, in order of ``member_id``.
    """
    known = candidates(tables, as_of, programme, member_ids)
    decided = decide(known, bundle, policy_table, programme, ration)
    checked: pd.DataFrame = Decisions.validate(decided)
    return checked


def candidates(
    tables: Tables, as_of: datetime, programme: Programme, member_ids: Collection[str] | None = None
) -> Candidates:
    """Build the features of all members, or of those named, and tell who is eligible to be scored."""
    own = tables if member_ids is None else _of_members(tables, member_ids)
    return candidates_among(build_features(own, as_of, programme), own, as_of, programme)


def candidates_among(features: pd.DataFrame, tables: Tables, as_of: datetime, programme: Programme) -> Candidates:
    """Tell which of the members with these features are eligible to be scored."""
    contacts = known_contacts(tables, as_of).to_pyarrow().to_pandas()
    unsubscribed = known_unsubscribed(tables, as_of).to_pyarrow().to_pandas()
    return eligible_of(features, contacts, unsubscribed, as_of, programme)


def eligible_of(
    features: pd.DataFrame, contacts: Members, unsubscribed: Members, as_of: datetime, programme: Programme
) -> Candidates:
    """Tell which members are eligible to be scored; all rows are known before as_of."""
    chosen = is_eligible(features, programme)
    return Candidates(
        as_of=as_of,
        features=features if chosen.all() else features[chosen].reset_index(drop=True),
        contacts=None if programme.data.contacts is None and not size(contacts) else contacts,
        unsubscribed=unsubscribed,
        not_eligible=tuple(features["member_id"].to_numpy()[~chosen]),
    )


def is_eligible(features: pd.DataFrame, programme: Programme) -> np.ndarray:
    """Tell for each member whether the programme wants them scored."""
    days = programme.eligible.ordered_within_days
    if days is None:
        return np.ones(len(features), dtype=bool)
    return np.asarray(features["recency_days"] <= days, dtype=bool)


def decide(
    known: Candidates,
    bundle: ModelBundle,
    policy_table: PolicyTable | None,
    programme: Programme,
    ration: Ration | None,
    *,
    top: int = REASONS,
) -> pd.DataFrame:
    """Score the candidates, say why, place them in segments, and decide what to send; see :func:`decide_members`.

    At most ``top`` reasons are given.

    The decisions are not checked yet; they are on becoming a table or records, see :mod:`serving.records`.
    """
    columns = decided_columns(known, bundle, policy_table, programme, ration, top=top)
    typed = {name: pd.array(told, dtype="str") if name in TEXTS else told for name, told in columns.items()}
    return pd.DataFrame(typed, index=known.features.index)


def decided_columns(
    known: Candidates,
    bundle: ModelBundle,
    policy_table: PolicyTable | None,
    programme: Programme,
    ration: Ration | None,
    *,
    top: int = REASONS,
) -> dict[str, Any]:
    """Return what :func:`decide` does, as arrays: laying out a frame takes longer than deciding about one member."""
    refuse_unfit(bundle, programme, known.as_of)
    refuse_later_effects(policy_table, programme, known.as_of)
    features = arrays_of(known.features)
    refuse_other_features(policy_table, features)
    inputs = inputs_of(features, bundle)
    scores = score_numbers(features, bundle, inputs)
    segments = places(features, bundle.constants, programme)
    named = {**scores, **segments}
    read = (*advice.READ, *uplift_features(policy_table))
    members = {name: named[name] if name in named else features[name] for name in read}
    actions = advice.decided_columns(
        members,
        policy_table,
        programme,
        as_of=known.as_of,
        contacts=known.contacts,
        unsubscribed=known.unsubscribed,
        ration=ration,
    )
    same = {
        "as_of": programme.local_date(known.as_of).isoformat(),
        "model_version": bundle.version,
        "policy_version": policy_table.version if policy_table else None,
        "currency": programme.currency,
    }
    columns = {
        "member_id": features["member_id"],
        **{name: np.full(size(features), value, dtype=object) for name, value in same.items()},
        **scores,
        "order_within": _order_within(features, scores, bundle, programme),
        **next_order(features, bundle.constants, max(bundle.churn_days, bundle.value_days)),
        "history_level": history_levels(features),
        **segments,
        "reasons": _reasons(features, bundle, inputs, programme, top),
        **actions,
    }
    return {name: columns[name] for name in DecisionRecord.model_fields}


def scored_members(known: Candidates, bundle: ModelBundle, programme: Programme) -> pd.DataFrame:
    """Score the candidates and place them in segments: features, scores and segments, one row per member."""
    refuse_unfit(bundle, programme, known.as_of)
    segments = segment_members(known.features, bundle.constants, programme)
    return _side_by_side(known.features, score(known.features, bundle), segments)


def _side_by_side(first: pd.DataFrame, *others: pd.DataFrame) -> pd.DataFrame:
    """Join what was said of members, in the index of the first; merging by id takes longer than deciding about one."""
    if not all(first["member_id"].equals(other["member_id"]) for other in others):
        raise ValueError("what is joined must be of the same members")
    own = [other.drop(columns=["member_id", "as_of"], errors="ignore") for other in others]
    return pd.concat([first, *own], axis=1)


def refuse_unfit(bundle: ModelBundle, programme: Programme, as_of: datetime) -> None:
    """Refuse a model that looks ahead another number of days than the programme, or that has seen what came after."""
    wanted = (programme.horizons.churn_days, programme.horizons.value_days)
    if (bundle.churn_days, bundle.value_days) != wanted:
        raise RefusedError(
            f"model {bundle.version} looks {bundle.churn_days} days ahead for churn and {bundle.value_days} for value, "
            f"the programme wants {wanted[0]} and {wanted[1]}; train again"
        )
    if as_of < bundle.trained_until:
        raise RefusedError(
            f"model {bundle.version} was trained on what was known until {programme.local_date(bundle.trained_until)} "
            f"and cannot score as of {programme.local_date(as_of)}: it has seen what came after"
        )


def refuse_later_effects(policy_table: PolicyTable | None, programme: Programme, as_of: datetime) -> None:
    """Refuse effects that were estimated from what came after."""
    if policy_table is not None and policy_table.as_of > as_of:
        today = programme.local_date(as_of)
        raise RefusedError(
            f"policy {policy_table.version} was estimated as of {programme.local_date(policy_table.as_of)} and cannot "
            f"decide as of {today}: it has seen what came after; run `winback effects --as-of {today}`"
        )


def refuse_other_features(policy_table: PolicyTable | None, features: Collection[str]) -> None:
    """Refuse a policy that was learnt from features which are not built any more."""
    if policy_table is not None and (missing := sorted(set(uplift_features(policy_table)) - set(features))):
        raise RefusedError(
            f"policy {policy_table.version} needs features that are not there: {', '.join(missing)}; "
            "run `winback effects` again"
        )


def known_contacts(tables: Tables, as_of: datetime) -> ir.Table:
    """Return the consents stated before as_of, lazily."""
    contacts = tables.contacts
    return contacts.filter(contacts.updated_at.isnull() | (contacts.updated_at < as_of))  # noqa: PD003 -- Ibis


def known_unsubscribed(tables: Tables, as_of: datetime) -> ir.Table:
    """Return `member_id`, `channel` and `updated_at` of the unsubscribe events known before as_of, lazily."""
    events = tables.events
    known = events.filter(events.event == "unsubscribe", events.occurred_at < as_of, events.recorded_at < as_of)
    return known.select("member_id", "channel", updated_at="occurred_at")


def _reasons(features: Members, bundle: ModelBundle, inputs: Inputs, programme: Programme, top: int) -> Any:
    return pd.arrays.ArrowExtensionArray(reasons(features, bundle, inputs, currency=programme.currency, top=top))


def _order_within(
    features: Members, scores: Mapping[str, Floats], bundle: ModelBundle, programme: Programme
) -> np.ndarray:
    days = programme.horizons.more_days
    rows = np.empty(size(features), dtype=object)
    for row, of_member in enumerate(order_probabilities(features, scores, bundle, days).tolist()):
        rows[row] = dict(zip(map(str, days), of_member, strict=True))
    return rows


def _of_members(tables: Tables, member_ids: Collection[str]) -> Tables:
    ids = sorted(set(member_ids))
    named = {field.name: getattr(tables, field.name) for field in fields(tables)}
    return Tables(**{name: table.filter(table.member_id.isin(ids)) for name, table in named.items()})
