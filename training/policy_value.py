"""The job behind ``winback policy-value``: what a policy would have brought on the offers on record."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from features.errors import InputError, RefusedError
from features.programme import Programme
from serving.bundle_files import load_policy_table
from serving.jobs import JobResult, Rows
from serving.loading import Step, as_of_or_next_day, load
from serving.resolve import resolve_policy_table
from training.off_policy import evaluate, proposed_by, proposing
from training.offer_log import OfferLog, read_offer_log

CHOSEN_BY_THEM = (
    "the policy was chosen from some of these very offers, which flatters it; use `--since` to value it on later ones"
)


def policy_value(
    programme: Programme,
    as_of: str | None,
    *,
    since: str | None = None,
    table: Path | None = None,
    always: str | None = None,
    step: Step,
) -> JobResult:
    """Value a policy on past offers: the current policy table, another one, or one incentive for everybody.

    Raises
    ------
    RefusedError
        If there is no policy table, probabilities were not logged, or what is proposed was never tried.
    InputError
        If ``always`` names no incentive.
    """
    loaded = load(programme, step)
    instant = as_of_or_next_day(programme, as_of, loaded.data_until)
    step(f"reading offers before {programme.local_date(instant)}")
    first = None if since is None else pd.Timestamp(programme.local_date(programme.instant(since)))
    log = _later(read_offer_log(loaded.tables, programme, instant), first)
    warnings = list(log.warnings)
    if always is not None:
        _refuse_unknown(always, programme)
        name, proposed = f"always {always}", proposing(pd.Series(always, index=log.offers.index), programme)
    else:
        policy = load_policy_table(table) if table else resolve_policy_table(programme)
        if policy is None:
            raise RefusedError(
                "there is no policy table to value; run `winback effects`, or name an incentive: --always"
            )
        name, proposed = f"policy {policy.version}", proposed_by(policy, log.offers, programme)
        if not log.offers.empty and programme.instant(log.offers["week"].min().to_pydatetime()) < policy.as_of:
            warnings.append(CHOSEN_BY_THEM)
    step(f"valuing {name} on {len(log.offers):,} offers")
    values, support = evaluate(log, proposed, programme)
    untried = [f"not valued, because not tried enough: {each}" for each in support.untried]
    record = {
        "policy": name,
        "currency": programme.currency,
        "offers": len(log.offers),
        "supported_share": support.supported_share,
        "effective_offers": support.effective_offers,
        "net_value_made": support.net_value_made,
    }
    rows = [asdict(value) for value in values]
    tables: dict[str, Rows] = {"policy value": [record], "per offer": rows}
    return JobResult({**record, "values": rows}, tables, warnings=(*warnings, *untried))


def _later(log: OfferLog, first: pd.Timestamp | None) -> OfferLog:
    if first is None:
        return log
    later = log.offers[log.offers["week"] >= first].reset_index(drop=True)
    return OfferLog(later, log.evidence if len(later) else "none", log.maturing, log.warnings, log.covariates)


def _refuse_unknown(incentive_id: str, programme: Programme) -> None:
    known = [programme.guardrails.control_id, *(arm.id for arm in programme.arms)]
    if incentive_id not in known:
        raise InputError(f"--always: {incentive_id!r} is no incentive of the programme; known: {', '.join(known)}")
