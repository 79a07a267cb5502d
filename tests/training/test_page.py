"""The demo's page: what it says and how it says it."""

import re
from pathlib import Path

import pandas as pd
import pytest

from serving.policy_table import Choice, PolicyTable
from training import page


def decisions(**columns: list) -> pd.DataFrame:
    """Build decisions with the columns the page reads."""
    rows = len(columns["member_id"])
    defaults = {
        "recommended_incentive": [None] * rows,
        "assigned_incentive": [None] * rows,
        "no_offer_reason": [None] * rows,
        "expected_recall": [float("nan")] * rows,
        "expected_cost": [float("nan")] * rows,
        "value_at_stake": [1.0] * rows,
        "churn_probability": [0.5] * rows,
        "expected_value": [2.0] * rows,
        "tier": ["low"] * rows,
        "state": ["active"] * rows,
    }
    return pd.DataFrame({**defaults, **columns})


def part(**changes: object) -> page.Part:
    """Build a part with one back-test row and one member."""
    member = {
        "member_id": "<script>alert(1)</script>", "tier": "high", "state": "lapsed_mid", "persona": None,
        "churn_probability": 0.25, "expected_value": 10.0, "recommended_incentive": None,
        "no_offer_reason": "consent", "reasons": [{"en": "No order for 63 days", "zh": "已 63 天没有下单"}],
    }  # fmt: skip
    made = page.Part(
        title="A programme", provenance=("Made up.",), as_of="2026-01-01", currency="CNY",
        figures={"members decided": 1234}, warnings=(), backtest_as_of="2025-10-01",
        backtest_tables={"Churn.": [{"model": "winback", "auc": 0.8123, "missing": None}]}, pictures=(),
        segments=[{"tier": "high", "members": 1}], members=[member], verdict=("Send nothing.",),
        decisions=[{"decision": "no offer: consent", "members": 1}], meanings={"consent": "has not agreed"},
    )  # fmt: skip
    return page.Part(**{**vars(made), **changes})


@pytest.fixture
def written(tmp_path: Path) -> str:
    page.write_page([part()], tmp_path / "demo" / "index.html", minutes="1.0 minutes", next_steps=("Go on.",))
    return (tmp_path / "demo" / "index.html").read_text(encoding="utf-8")


def test_the_page_needs_no_network(written: str) -> None:
    assert re.findall(r"(?:src|href)=|@import|url\(", written) == []


def test_what_members_are_called_is_never_taken_for_markup(written: str) -> None:
    assert "<script>" not in written
    assert "&lt;script&gt;" in written


def test_figures_are_rounded_and_missing_ones_shown_as_a_dash(written: str) -> None:
    assert ">0.812<" in written
    assert ">1,234<" in written
    assert ">–<" in written


def test_example_members_differ_in_their_decision_first_and_have_most_at_stake() -> None:
    made = decisions(
        member_id=["a", "b", "c", "d"],
        no_offer_reason=["consent", "consent", "not_lapsed", "consent"],
        value_at_stake=[1.0, 5.0, 2.0, 3.0],
    )
    assert [member["member_id"] for member in page.example_members(made)] == ["b", "c", "d"]


def test_an_example_with_a_recommended_incentive_comes_first() -> None:
    made = decisions(
        member_id=["a", "b", "c"],
        recommended_incentive=[None, None, "coupon"],
        no_offer_reason=["consent", "consent", None],
    )
    assert page.example_members(made)[0]["member_id"] == "c"


def test_decisions_are_counted_by_incentive_and_by_reason() -> None:
    made = decisions(
        member_id=["a", "b", "c"],
        recommended_incentive=["coupon", None, None],
        no_offer_reason=[None, "consent", "consent"],
        expected_recall=[0.1, float("nan"), float("nan")],
    )
    rows = {row["decision"]: row for row in page.decision_rows(made)}
    assert rows["no offer: consent"]["members"] == 2
    assert rows["no offer: consent"]["expected_recalls"] is None
    assert rows["coupon"]["expected_recalls"] == 0.1


def test_every_reason_that_occurs_is_explained() -> None:
    made = decisions(member_id=["a", "b"], no_offer_reason=["consent", "cooldown"])
    assert set(page.meanings(made)) == {"consent", "cooldown"}


def test_a_choice_stands_beside_the_truth() -> None:
    policy = PolicyTable(
        created_at=pd.Timestamp("2026-01-01"), programme_name="shop", as_of=pd.Timestamp("2026-01-01"),
        evidence="propensity", response_days=28, confidence=0.95,
        choices={
            "high__mid": Choice(incentive_id="coupon", reason=None),
            "low__mid": Choice(incentive_id=None, reason="no_effect"),
        },
    )  # fmt: skip
    truth = pd.DataFrame(
        {"policy_segment": ["high__mid"], "incentive_id": ["coupon"], "recall": [0.04], "net_value": [-0.5]}
    )
    choices = pd.DataFrame({"policy_segment": ["high__mid", "low__mid"], "cheapest_effective": ["points", None]})
    chosen, nothing = page.choice_rows(policy, truth, choices)
    assert (chosen["chosen"], chosen["true_cheapest_effective"], chosen["true_recall_of_chosen"]) == (
        "coupon", "points", 0.04,
    )  # fmt: skip
    assert (nothing["chosen"], nothing["true_cheapest_effective"]) == ("nothing: no_effect", "nothing")
    assert nothing["true_recall_of_chosen"] is None
