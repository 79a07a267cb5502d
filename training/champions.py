"""Which registered model scores: a challenger is judged against the champion, promoted, or the champion rolled back.

Every decision is kept with the version it is about: ``promoted``, ``held_back`` or ``rolled_back`` with the reason, and
the time.
"""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from features.catalogue import feature_names
from features.errors import RefusedError
from features.programme import Programme
from features.sources import Loaded
from serving.bundle import ModelBundle
from serving.by_name import KEYS
from serving.jobs import JobResult
from serving.loading import Step, as_of_or_next_day, load
from serving.registry import (
    champion_number,
    load_champion,
    load_version,
    note,
    notes,
    roll_back,
    set_champion,
    version_numbers,
)
from serving.scoring import needed_columns, score
from training.backtest import rehearse
from training.labels import days_after, labels, longest_horizon
from training.promote import Promotion, judge_challenger
from training.snapshots import observe
from training.spec import Growth


def promote(
    programme: Programme,
    number: int | None,
    *,
    force: bool,
    reason: str | None,
    step: Step,
    loaded: Loaded | None = None,
) -> JobResult:
    """Judge a registered challenger again, on what has happened since, and make it champion if it is not worse.

    Parameters
    ----------
    programme
        Whose model.
    number
        The version; None means the latest.
    force
        Promote it unjudged.
    reason
        Why, in the words of who promotes; kept with the version.
    step
        Told what is being done.
    loaded
        The programme's tables if they are already read.

    Raises
    ------
    RefusedError
        If the challenger is worse or cannot be judged, is champion already, or does not answer the programme's question
        from the programme's features.
    """
    chosen = number or _latest(programme)
    replaced = champion_number(programme)
    if chosen == replaced:
        raise RefusedError(f"version {chosen} of model {programme.output.model!r} is champion already")
    challenger = load_version(programme, chosen)
    if misfit := _misfit(challenger, programme):
        raise RefusedError(f"version {chosen} {misfit}; train again")
    verdict = _forced() if force else _judge_again(challenger, chosen, programme, step, loaded)
    verdict = Promotion(verdict.promote, "; ".join(filter(None, (reason, verdict.reason))), verdict.checks)
    record_verdict(programme, chosen, verdict)
    if not verdict.promote:
        raise RefusedError(f"version {chosen} stays challenger: {verdict.reason}; --force promotes it unjudged")
    return _told(programme, chosen, replaced, verdict.reason)


def rollback(programme: Programme, *, reason: str | None, step: Step) -> JobResult:
    """Make the champion before this one champion again."""
    step("going back to the champion before")
    why = reason or "rolled back by hand"
    taken_off, number = roll_back(programme, reason=why)
    return _told(programme, number, taken_off, why)


def judge(
    loaded: Loaded,
    as_of: datetime,
    programme: Programme,
    *,
    challenger: ModelBundle | None = None,
    growth: Growth | None = None,
) -> Promotion:
    """Compare champion and challenger on the latest window that had matured by a date.

    Where the challenger has itself learnt from that window, or is only being trained, an earlier one, trained in the
    same way before the window, speaks for it.
    """
    champion = _champion(programme)
    if champion is None:
        return judge_challenger(pd.DataFrame(), champion=None, challenger=pd.DataFrame())
    window = days_after(as_of, -longest_horizon(programme), programme)
    if champion.trained_until > window:
        judged = programme.local_date(days_after(champion.trained_until, longest_horizon(programme), programme))
        return Promotion(
            promote=False, reason=f"the champion has seen every window that could judge; again on {judged}"
        )
    try:
        if challenger is not None and challenger.trained_until <= window:
            features = observe(loaded.tables, window, programme).features
            happened = labels(loaded.tables, window, programme, features["member_id"])
        else:
            rehearsal = rehearse(loaded, window, programme, growth=growth)
            features, happened, challenger = rehearsal.now.features, rehearsal.happened, rehearsal.training.bundle
        scores = [score(features, model) for model in (champion, challenger)]
    except RefusedError as error:
        return Promotion(promote=False, reason=f"cannot be compared: {error}")
    return judge_challenger(happened, champion=scores[0], challenger=scores[1])


def record_verdict(programme: Programme, number: int, verdict: Promotion) -> None:
    """Make a version champion, or keep with it why it stays challenger."""
    if verdict.promote:
        set_champion(programme, number, reason=verdict.reason)
    else:
        note(programme, number, "held_back", verdict.reason)


def _judge_again(
    challenger: ModelBundle, number: int, programme: Programme, step: Step, loaded: Loaded | None
) -> Promotion:
    loaded = loaded or load(programme, step)
    step(f"comparing version {number} with the champion")
    return judge(loaded, as_of_or_next_day(programme, None, loaded.data_until), programme, challenger=challenger)


def _forced() -> Promotion:
    return Promotion(promote=True, reason="forced, not judged")


def _latest(programme: Programme) -> int:
    known = version_numbers(programme)
    if not known:
        raise RefusedError(f"no version of model {programme.output.model!r} to promote; run `winback train` first")
    return known[-1]


def _champion(programme: Programme) -> ModelBundle | None:
    """Return the champion, or None where there is none that can score for the programme."""
    try:
        champion = load_champion(programme)
    except RefusedError:
        return None
    return None if _misfit(champion, programme) else champion


def _misfit(bundle: ModelBundle, programme: Programme) -> str | None:
    """Say why a model cannot score for the programme: its question, its features or its name have changed."""
    horizons = programme.horizons
    if (bundle.churn_days, bundle.value_days) != (horizons.churn_days, horizons.value_days):
        return (
            f"looks {bundle.churn_days} days ahead for churn and {bundle.value_days} for value, which is not what the "
            "programme wants"
        )
    if gone := sorted(set(needed_columns(bundle)) - {*KEYS, *feature_names(programme.windows)}):
        return f"needs features that the programme no longer has: {', '.join(gone)}"
    if bundle.programme_name != programme.name:
        return f"is programme {bundle.programme_name!r}'s, not {programme.name!r}'s"
    return None


def _told(programme: Programme, number: int, replaced: int | None, reason: str) -> JobResult:
    record = {
        "model": programme.output.model,
        "champion": number,
        "version": notes(programme, number)["bundle"],
        "replaced": replaced,
        "reason": reason,
    }
    return JobResult(record, {"champion": [record]})
