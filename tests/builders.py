"""Small programmes, tables and bundles that tests build on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa

from features.build import build_features
from features.catalogue import ONLY_FOR_GUARDRAILS
from features.programme import Programme, load_programme
from features.sources import load_tables
from serving.bundle import BetaGeometric, Calibrator, FittedConstants, FittedModel, GammaGamma, ModelBundle, ValueSpread
from serving.policy_table import Choice, Effect, Estimate, MemberUplift, PolicyTable
from serving.priors import prior_columns
from serving.records import DecisionRecord, Reason, decision_table
from serving.runs import Chunk
from serving.segments import POLICY_SEGMENTS

Frames = dict[str, pd.DataFrame]

AS_OF = "2026-01-05"
TRAINED_UNTIL = "2025-10-06"

PROGRAMME = """
name = "small"
timezone = "Asia/Shanghai"
currency = "CNY"

[data]
{data}

[horizons]
churn_days = 56
value_days = 91
more_days = [28, 182]

[eligible]
ordered_within_days = 300

[value]
margin_rate = 0.4

[[personas]]
name = "sleeping"
when = ["repeat_order_days >= 3", "recency_days >= 90"]

[[incentives]]
id = "coupon_20"
name_en = "20 off"
name_zh = "立减20"
contact_cost = 0.1
face_value = 20.0

[[incentives]]
id = "points_x3"
name_en = "Triple points"
name_zh = "三倍积分"
contact_cost = 0.1
face_value = 5.0

[guardrails]
cost_share = 1.0
holdout_share = 0.2

[training]
threads = 1
"""


def small_frames(members: int = 40, *, seed: int = 1) -> Frames:
    """Two years of a shop's tables, times local and naive, up to ``AS_OF``."""
    rng = np.random.default_rng(seed)
    start, days = pd.Timestamp("2024-01-05"), 731
    ids = [f"m{number:03}" for number in range(members)]
    joined = rng.integers(0, 500, members)

    def times(since: np.ndarray, until: np.ndarray) -> pd.Series:
        seconds = rng.integers(since * 86_400, np.maximum(until, since + 1) * 86_400)
        return pd.Series(start + pd.to_timedelta(seconds, unit="s"))

    def spread(mean: float) -> np.ndarray:
        return np.repeat(np.arange(members), rng.poisson(mean, members))

    leaves = joined + rng.integers(60, days, members)
    who = np.concatenate([np.arange(members), spread(8)])
    orders = pd.DataFrame(
        {
            "order_id": [f"o{number:05}" for number in range(len(who))],
            "member_id": [ids[index] for index in who],
            "ordered_at": times(joined[who], np.minimum(leaves[who], days)),
            "net_amount": rng.gamma(2.0, 40.0, len(who)).round(2),
            "discount_amount": rng.choice([0.0, 0.0, 5.5], len(who)),
        }
    )
    lines = orders[["order_id"]].assign(
        product_id=[f"p{number % 17}" for number in range(len(orders))],
        category=[f"c{number % 5}" for number in range(len(orders))],
        quantity=1,
        net_amount=orders["net_amount"],
    )
    who = spread(20)
    kinds = ["visit", "visit", "message_sent", "message_opened", "add_to_cart", "complaint", "app_login"]
    events = pd.DataFrame(
        {
            "event_id": [f"e{number:05}" for number in range(len(who))],
            "member_id": [ids[index] for index in who],
            "occurred_at": times(joined[who], np.full(len(who), days)),
            "event": rng.choice(kinds, len(who)),
        }
    )
    who = spread(0.5)
    offers = pd.DataFrame(
        {
            "offer_id": [f"x{number:05}" for number in range(len(who))],
            "member_id": [ids[index] for index in who],
            "incentive_id": rng.choice(["control", "coupon_20", "points_x3"], len(who)),
            "assigned_at": times(np.full(len(who), 500), np.full(len(who), days)),
        }
    )
    contacts = pd.DataFrame({"member_id": ids, "channel": "email", "consent": rng.random(members) < 0.8})
    people = pd.DataFrame({"member_id": ids, "joined_at": start + pd.to_timedelta(joined, unit="D")})
    return {
        "orders": orders, "members": people, "order_lines": lines,
        "events": events, "offers": offers, "contacts": contacts,
    }  # fmt: skip


def small_programme(folder: Path, frames: Frames | None = None) -> Programme:
    """Write tables as Parquet and a programme file that names them, and load it."""
    tables = small_frames() if frames is None else frames
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    data = "\n".join(f'{name} = {{ path = "{name}.parquet" }}' for name in tables)
    file = folder / "programme.toml"
    file.write_text(PROGRAMME.format(data=data), encoding="utf-8")
    return load_programme(file)


def history_of(member_id: str, frames: Frames) -> dict[str, Any]:
    """One member's rows as the service's history request takes them."""

    def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
        text = frame.drop(columns="member_id", errors="ignore").to_json(orient="records", date_format="iso")
        parsed: list[dict[str, Any]] = json.loads(text)
        return parsed

    own = {
        name: frame[frame["member_id"] == member_id] for name, frame in frames.items() if name not in ("order_lines",)
    }
    lines = frames["order_lines"]
    own["order_lines"] = lines[lines["order_id"].isin(own["orders"]["order_id"])]
    member = rows(own.pop("members"))
    return {"member_id": member_id, "member": member[0], **{name: rows(frame) for name, frame in own.items()}}


def small_constants(fitted_at: datetime) -> FittedConstants:
    """Constants of the right size for ``small_frames``."""
    return FittedConstants(
        fitted_at=fitted_at,
        btyd=BetaGeometric(r=0.8, alpha=8.0, a=0.8, b=2.5),
        spend=GammaGamma(p=6.0, q=4.0, v=15.0),
        median_gap_days=45.0,
        mean_value_per_order=32.0,
        high_value_per_year=200.0,
        mid_value_per_year=100.0,
        potential_value_if_active=80.0,
    )


def small_bundle(programme: Programme, *, trained_until: str = TRAINED_UNTIL) -> ModelBundle:
    """Train a few trees on the programme's own features, labelled by what followed."""
    until = programme.instant(trained_until)
    tables = load_tables(programme, threads=1).tables
    features = build_features(tables, until, programme)
    constants = small_constants(until)
    horizons = programme.horizons
    prior = prior_columns(features, constants, horizons.churn_days, horizons.value_days)
    inputs = pd.concat([features.drop(columns=["member_id", "as_of", *ONLY_FOR_GUARDRAILS]), prior], axis=1).astype(
        "float64"
    )
    ordered, value = _what_followed(tables, features["member_id"], until, programme)
    return ModelBundle(
        created_at=until,
        programme_name=programme.name,
        trained_until=until,
        churn_days=horizons.churn_days,
        value_days=horizons.value_days,
        value_basis="margin",
        windows=programme.windows,
        feature_names=tuple(inputs.columns),
        constants=constants,
        models={
            "churn": _fit(inputs, ~ordered[horizons.churn_days], "binary", offset="prior_churn_logit"),
            "orders": _fit(inputs, ordered[horizons.value_days], "binary", offset="prior_orders_logit"),
            "value": _fit(inputs[value > 0], value[value > 0], "gamma", offset="prior_log_value"),
        },
        calibrators={"churn": Calibrator(x=(0.0, 0.5, 1.0), y=(0.02, 0.45, 0.98))},
        value_factor=1.05,
        value_spread=ValueSpread(probability_from=(0.0, 0.5), ratios=((0.0, 0.5, 3.0), (0.2, 1.0, 2.0))),
        level_margin=0.2,
    )


def small_policy(as_of: datetime, *, incentive_id: str = "points_x3") -> PolicyTable:
    """A randomised policy table in which one incentive works everywhere."""
    return PolicyTable(
        created_at=as_of,
        programme_name="small",
        as_of=as_of,
        evidence="randomised",
        response_days=28,
        confidence=0.95,
        effects=tuple(_effect(segment, incentive_id) for segment in POLICY_SEGMENTS),
        choices={segment: Choice(incentive_id=incentive_id, reason=None) for segment in POLICY_SEGMENTS},
    )


def stump(steps_up_above: float, height: float) -> str:
    """Trees of one feature that say 0 up to a number, and ``height`` above it."""
    given = np.array([[steps_up_above - 0.5], [steps_up_above + 0.5]] * 20)
    how = {"num_leaves": 2, "learning_rate": 1.0, "min_data_in_leaf": 1, "min_data_in_bin": 1, "verbosity": -1}
    settings = {**how, "objective": "regression", "num_threads": 1, "lambda_l2": 0.0}
    rose = np.where(given[:, 0] > steps_up_above, height, 0.0)
    return lgb.train(settings, lgb.Dataset(given, rose, params=settings), 1).model_to_string()


def subsidised(
    incentive_id: str, feature: str, above: float, *, segments: Sequence[str] = POLICY_SEGMENTS
) -> MemberUplift:
    """An incentive that brings 1 to each member, and costs 2 with those whose feature is above a number."""
    return MemberUplift(
        incentive_id=incentive_id, features=(feature,), recall=stump(above, 0.0), recall_weight=1.0,
        cost=stump(above, 2.0), order_value=dict.fromkeys(segments, 10.0), level=dict.fromkeys(segments, 1.0),
    )  # fmt: skip


def decision(member_id: str = "m001", **changed: Any) -> DecisionRecord:
    """A decision record, one of its reasons about something the member never did."""
    values: dict[str, Any] = {
        "member_id": member_id,
        "as_of": AS_OF,
        "model_version": "model1",
        "policy_version": None,
        "currency": "CNY",
        "churn_probability": 0.1 + 0.2,
        "order_probability": 0.7,
        "order_within": {"28": 0.3, "182": 0.9},
        "expected_value": 70.0,
        "expected_value_low": 0.0,
        "expected_value_high": 130.0,
        "value_if_active": 100.0,
        "historic_value": 250.5,
        "value_at_stake": 30.0,
        "active_probability": 0.8,
        "next_order_days": 21.5,
        "next_order_low_days": 3.0,
        "next_order_high_days": None,
        "history_level": "few_orders",
        "tier": "high",
        "state": "lapsed_mid",
        "persona": None,
        "policy_segment": "high__mid",
        "reasons": [
            Reason(code="c", feature="recency_days", feature_value=40.0, shap_value=0.25, en="Silent.", zh="沉睡。"),
            Reason(code="d", feature="open_rate_28d", feature_value=None, shap_value=-0.1, en="No mail.", zh="无。"),
        ],
        "recommended_incentive": "points_x3",
        "channel": "email",
        "assigned_incentive": None,
        "assigned_channel": None,
        "assigned_cost": None,
        "assigned_by": "holdout",
        "assigned_probability": 0.2,
        "probabilities": {"control": 0.2, "points_x3": 0.8},
        "expected_cost": 0.85,
        "expected_recall": 0.12,
        "expected_recall_low": 0.06,
        "expected_recall_high": 0.18,
        "evidence": "randomised",
        "no_offer_reason": None,
    }
    return DecisionRecord(**{**values, **changed})


def decisions_table(*records: DecisionRecord) -> pa.Table:
    """Records in the form they are written in."""
    frame = pd.DataFrame([record.model_dump() for record in records], columns=list(DecisionRecord.model_fields))
    return decision_table(frame)


def chunk(number: int = 0, members: int = 0) -> Chunk:
    """A chunk that is done."""
    return Chunk(number=number, known=members, decided=members, distribution={})


def _what_followed(
    tables: Any, member_ids: pd.Series, until: datetime, programme: Programme
) -> tuple[Mapping[int, pd.Series], pd.Series]:
    orders = tables.orders.to_pyarrow().to_pandas()
    after = orders[orders["ordered_at"] >= until]
    days = (after["ordered_at"] - until) / pd.Timedelta(days=1)

    def within(limit: int) -> pd.Series:
        return member_ids.isin(after.loc[days < limit, "member_id"])

    horizons = programme.horizons
    later = after[days < horizons.value_days].assign(value=lambda rows: rows["value_amount"].astype(float))
    value = member_ids.map(later.groupby("member_id")["value"].sum()).fillna(0.0)
    return {limit: within(limit) for limit in (horizons.churn_days, horizons.value_days)}, value


def _fit(inputs: pd.DataFrame, label: pd.Series, objective: str, *, offset: Any) -> FittedModel:
    parameters = {
        "objective": objective, "num_leaves": 4, "min_data_in_leaf": 5, "num_threads": 1, "verbose": -1,
        "deterministic": True, "force_row_wise": True, "seed": 1, "boost_from_average": False,
    }  # fmt: skip
    start = inputs[offset]
    data = lgb.Dataset(inputs.to_numpy(), label.astype(float), init_score=start, feature_name=list(inputs.columns))
    booster = lgb.train(parameters, data, num_boost_round=8)
    return FittedModel(
        text=booster.model_to_string(), objective=objective, offset=offset, offset_mean=float(start.mean())
    )


def _effect(segment: str, incentive_id: str) -> Effect:
    def estimate(value: float, se: float) -> Estimate:
        low, high = value - 2 * se, value + 2 * se
        return Estimate(
            value=value, se=se, low=low, high=high, simultaneous_low=value - 3 * se, simultaneous_high=value + 3 * se
        )

    return Effect(
        policy_segment=segment,
        incentive_id=incentive_id,
        n_treated=900,
        n_control=900,
        recall=estimate(0.12, 0.02),
        margin=estimate(6.0, 0.8),
        net=estimate(5.0, 0.8),
        cost_per_member=0.85,
        redemption_rate=0.15,
        verdict="effective",
        why="the lower bound of recall is above the floor",
    )
