"""How long a budget takes to be divided among a million members who may be sent anything. Writes results/planning.json.

Members, their scores and the policy are made up: twelve segments, five effective incentives, two with a set-up, one a
share of the order. The floor reads the same columns of members as arrays and sorts them once by value. MEMBERS chooses
how many.
"""

from __future__ import annotations

import json
import os
import resource
import time
from datetime import datetime

import numpy as np
import pandas as pd
from batch import ROOT
from rich.console import Console

from features.programme import Programme, parse_programme
from serving.console import rows_table
from serving.plan import contend, plan_budget
from serving.policy_table import Choice, Effect, Estimate, PolicyTable
from serving.segments import POLICY_SEGMENTS

RESULTS = ROOT / "benchmarks" / "results" / "planning.json"
MEMBERS = int(os.environ.get("MEMBERS") or 1_000_000)
AS_OF = datetime(2026, 1, 5)
SETUP = (0.0, 0.0, 400.0, 0.0, 900.0)
SECONDS = 30


def programme() -> Programme:
    """Describe five incentives, each dearer than the one before."""
    catalogue = [
        {"id": f"i{number}", "name_en": "i", "name_zh": "i", "contact_cost": 0.1 * number, "setup_cost": setup,
         "face_share": 0.1 if number == 3 else 0.0}
        for number, setup in enumerate(SETUP, start=1)
    ]  # fmt: skip
    return parse_programme(
        {"name": "planning", "currency": "EUR", "data": {"orders": {"path": "orders.csv"}}, "incentives": catalogue,
         "guardrails": {"consent_default": True}}
    )  # fmt: skip


def policy() -> PolicyTable:
    """Make every incentive effective everywhere, and some segments worth more than others."""
    effects = tuple(
        _effect(segment, f"i{number}", cost=0.6 * number, margin=(2 + place) * 0.5 * number**0.5)
        for place, segment in enumerate(POLICY_SEGMENTS)
        for number in range(1, len(SETUP) + 1)
    )
    return PolicyTable(
        created_at=AS_OF, programme_name="planning", as_of=AS_OF, evidence="randomised", response_days=28,
        confidence=0.95, effects=effects,
        choices={segment: Choice(incentive_id="i1", reason=None) for segment in POLICY_SEGMENTS},
    )  # fmt: skip


def _effect(segment: str, incentive_id: str, *, cost: float, margin: float) -> Effect:
    return Effect(
        policy_segment=segment, incentive_id=incentive_id, n_treated=5000, n_control=5000,
        recall=_estimate(0.03), margin=_estimate(margin), net=_estimate(margin - cost), cost_per_member=cost,
        redemption_rate=0.1, verdict="effective", why="",
    )  # fmt: skip


def _estimate(value: float) -> Estimate:
    low, high = 0.5 * value, 1.5 * value
    return Estimate(value=value, se=0.2, low=low, high=high, simultaneous_low=low, simultaneous_high=high)


def members(count: int) -> pd.DataFrame:
    """Draw members with all that guardrails and plans look at."""
    draw = np.random.default_rng(0)
    segment = np.array(POLICY_SEGMENTS)[draw.integers(0, len(POLICY_SEGMENTS), count)]
    return pd.DataFrame(
        {
            "member_id": [f"m{number:07}" for number in range(count)], "policy_segment": segment,
            "tier": pd.Series(segment).str.split("__").str[0], "state": "lapsed_mid", "persona": None,
            "order_count": draw.integers(1, 9, count).astype(float), "value_per_year": draw.lognormal(5, 1, count),
            "value_if_active": draw.lognormal(4.6, 0.7, count), "messages_per_week_28d": 0.0,
            "average_order_value": draw.lognormal(3.5, 0.6, count), "last_assignment_days": np.nan,
        }
    )  # fmt: skip


def main() -> None:
    """Plan once with 0.60 per member, and print what it took."""
    frame, settings, table = members(MEMBERS), programme(), policy()
    begun = time.perf_counter()
    columns = [frame[name].to_numpy() for name in frame]
    np.argsort(columns[list(frame).index("value_if_active")])
    floor, before = time.perf_counter() - begun, _peak()
    begun = time.perf_counter()
    contenders = contend(frame, table, settings, as_of=AS_OF, contacts=None)
    found = time.perf_counter()
    plan = plan_budget(contenders, table, settings, budget=0.6 * MEMBERS)
    done = time.perf_counter()
    size = f"{MEMBERS:,} members"
    rows = [
        row(f"{size}: seconds to apply guardrails", found - begun),
        row(f"{size}: seconds to plan, ten other budgets with it", done - found, SECONDS),
        row(f"{size}: times the floor, both", (done - begun) / floor),
        row(f"{size}: GB of peak memory beyond the members", _peak() - before),
        row(f"{size}: members sent something", plan.outlook.members),
    ]
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    Console().print(rows_table("planning", rows))


def row(name: str, value: float, most: float | None = None) -> dict[str, str | float | bool | None]:
    """Make a record of results, with a goal if it has one."""
    goal = "" if most is None else f"at most {most:g}"
    return {"name": name, "value": round(value, 3), "goal": goal, "holds": None if most is None else value <= most}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


if __name__ == "__main__":
    main()
