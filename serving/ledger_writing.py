"""What the CRM writes down, without HTTP: orders, events, offers and outcomes, and the alerts they raise."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from features.errors import WinbackError
from features.programme import Programme
from serving.alerts import Alert
from serving.contracts import ItemError
from serving.ledger import Budget, Entry, Kind, Verdict
from serving.ledger_contracts import NewEvent, NewOffer, NewOrder, NewOutcome, RefusedItem, Written, WrittenItem
from serving.lookup import Lookup, utc_now
from serving.records import DecisionRecord, Strict
from serving.reservations import reserved, takes_a_share
from serving.scoring import score

AHEAD: Final = timedelta(minutes=5)
"""By which a caller's clock may be ahead of ours."""

CAUGHT_UP_AT_ONCE: Final = 1_000

_REFUSALS: Final[Mapping[Literal["conflict", "budget"], str]] = {
    "conflict": "another item of this id was written down before, and stands",
    "budget": "it would cost more than is left of this month's budget",
}

_UNKNOWN_COST: Final = (
    "a redemption costs a share of the order, and no decision published expects this offer; tell its cost_amount"
)

_log = logging.getLogger(__name__)


def write_activity(
    lookup: Lookup, orders: Sequence[NewOrder], events: Sequence[NewEvent]
) -> tuple[list[Written], list[Written]]:
    """Write down orders and events; return what became of each, in order."""
    now = utc_now()
    entries = [
        *(_entry(lookup, "order", order.order_id, order.member_id, order, order.ordered_at, now) for order in orders),
        *(_entry(lookup, "event", event.event_id, event.member_id, event, event.occurred_at, now) for event in events),
    ]
    written = _append(lookup, entries, now)
    return written[: len(orders)], written[len(orders) :]


def write_offers(lookup: Lookup, offers: Sequence[NewOffer]) -> list[Written]:
    """Write down offers, as far as the budget goes; return what became of each, in order."""
    now = utc_now()
    decisions = _decisions(lookup, offers)
    entries = [_offer(lookup, offer, decisions.get(offer.member_id), now) for offer in offers]
    return _append(lookup, entries, now, _budget(lookup.programme, now))


def write_outcomes(lookup: Lookup, outcomes: Sequence[NewOutcome]) -> list[Written]:
    """Write down what became of offers in the ledger; return what became of each, in order."""
    now = utc_now()
    members = lookup.ledger.offered_to({outcome.offer_id for outcome in outcomes})
    unknown = "the ledger has no such offer; outcomes of offers in the programme's own table belong there"
    entries = [
        _entry(lookup, "outcome", outcome.outcome_id, member_id, outcome, outcome.redeemed_at, now)
        if (member_id := members.get(outcome.offer_id)) is not None
        else (outcome.outcome_id, ItemError(code="unknown_offer", message=unknown, field="offer_id"))
        for outcome in outcomes
    ]
    return _append(lookup, entries, now)


def watch(lookup: Lookup, member_ids: Collection[str]) -> list[Alert] | None:
    """Bring members' risks up to date and return the alerts that raises; None where that is not possible now."""
    if not member_ids:
        return []
    try:
        publication, records = lookup.published(member_ids)
        now = utc_now()
        known = lookup.up_to_date(member_ids, now)
        scores = [score(part.features, lookup.bundle) for part in known.parts if len(part.features)]
        risks = (dict(zip(part["member_id"], part["churn_probability"].astype(float), strict=True)) for part in scores)
        return lookup.alerts.watch(
            {name: risk for part in risks for name, risk in part.items()},
            {name: record.churn_probability for name, record in records.items()},
            threshold=lookup.programme.service.alert_threshold,
            now=now,
            published_at=publication.published_at,
        )
    except WinbackError:
        _log.warning("alerts wait until decisions can be brought up to date", exc_info=True)
        return None


def catch_up(lookup: Lookup) -> None:
    """Bring the risks of members up to date about whom something was received since they were computed."""
    watch(lookup, behind(lookup))


def behind(lookup: Lookup) -> list[str]:
    """Return members about whom something was received since their risks were computed, so many as fit one call.

    The latest come first: strangers, who never have a risk, must not take the places of the others for good.
    """
    publication = lookup.store.current()
    if publication is None:
        return []
    received = lookup.ledger.received(lookup.changed_since(publication))
    computed = lookup.alerts.computed(received)
    late = [name for name, at in received.items() if name not in computed or computed[name] <= at]
    return sorted(late, key=lambda name: received[name], reverse=True)[:CAUGHT_UP_AT_ONCE]


Item = Entry | tuple[str, ItemError]


def _append(lookup: Lookup, items: Sequence[Item], now: datetime, budget: Budget | None = None) -> list[Written]:
    entries = [item for item in items if isinstance(item, Entry)]
    verdicts = iter(lookup.ledger.append(entries, received_at=now, budget=budget))
    return [
        _written(item.id, next(verdicts)) if isinstance(item, Entry) else RefusedItem(id=item[0], error=item[1])
        for item in items
    ]


def _written(identifier: str, verdict: Verdict) -> Written:
    if verdict == "recorded" or verdict == "known":
        return WrittenItem(id=identifier, status=verdict)
    return RefusedItem(id=identifier, error=ItemError(code=verdict, message=_REFUSALS[verdict]))


def _entry(
    lookup: Lookup,
    kind: Kind,
    identifier: str,
    member_id: str,
    row: Strict,
    happened_at: datetime | None,
    now: datetime,
    cost: float = 0.0,
) -> Item:
    if happened_at is not None and lookup.programme.instant(happened_at) > now + AHEAD:
        return identifier, ItemError(code="in_future", message="it lies in the future")
    content = row.model_dump(mode="json", exclude_none=True)
    return Entry(kind, identifier, member_id, content, cost)


def _offer(lookup: Lookup, offer: NewOffer, decision: DecisionRecord | None, now: datetime) -> Item:
    programme = lookup.programme
    names = [*(incentive.id for incentive in programme.incentives), programme.guardrails.control_id]
    if offer.incentive_id not in names:
        known = f"the programme file has {', '.join(names)}"
        return offer.offer_id, ItemError(code="unknown_incentive", message=known, field="incentive_id")
    cost = reserved(offer, programme, decision)
    if cost is None and programme.service.offer_budget is not None:
        return offer.offer_id, ItemError(code="unknown_cost", message=_UNKNOWN_COST, field="cost_amount")
    return _entry(lookup, "offer", offer.offer_id, offer.member_id, offer, offer.assigned_at, now, cost or 0.0)


def _decisions(lookup: Lookup, offers: Sequence[NewOffer]) -> Mapping[str, DecisionRecord]:
    """Return the published decisions about members whose offers cost what they expect."""
    members = {offer.member_id for offer in offers if takes_a_share(offer, lookup.programme)}
    return lookup.store.read(sorted(members))[1] if members else {}


def _budget(programme: Programme, now: datetime) -> Budget | None:
    limit = programme.service.offer_budget
    if limit is None:
        return None
    return Budget(limit, since=programme.instant(programme.local_date(now).replace(day=1)))
