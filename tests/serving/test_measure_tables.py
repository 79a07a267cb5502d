import io

from rich.console import Console

from serving.console import rows_table
from serving.measure import Measured
from serving.measure_tables import tables


def measured(**of: object) -> Measured:
    nothing = {"policy_segment": None, "channel": None, "incentive": None}
    return Measured.model_validate(
        {
            "days": 7, **nothing, "treated": 36_172, "control": 15_463, "maturing": 1_443, "recall_rate": 0.0957647,
            "incremental_recall": 0.0068682, "incremental_recall_low": -0.0018272, "incremental_recall_high": 0.0155635,
            "cost": 148_858.4, "net_value": -113_199.4, "net_value_low": -153_534.2, "net_value_high": -72_864.6,
            "roi": -0.76045, "cost_share": 0.457274, "verdict": "loses", **of,
        }
    )  # fmt: skip


def test_each_window_has_its_recall_and_its_money() -> None:
    shown = tables([measured(), measured(days=30, net_value=5.0)])
    assert list(shown) == ["recall after 7 days", "money after 7 days", "recall after 30 days", "money after 30 days"]
    assert [row["net value"] for row in shown["money after 30 days"]] == [5.0]


def test_everything_comes_first_and_then_one_thing_at_a_time() -> None:
    both = {"policy_segment": "mid__long", "incentive": "coupon"}
    rows = [measured(), measured(policy_segment="mid__long"), measured(channel="sms"), measured(incentive="coupon")]
    shown = tables([*rows, measured(**both)])
    assert [row["of"] for row in shown["recall after 7 days"]] == ["everything", "mid__long", "sms", "coupon"]


def test_tables_fit_a_terminal_of_a_hundred_columns() -> None:
    printed = io.StringIO()
    for title, rows in tables([measured(incentive="welcome_back@email")]).items():
        Console(file=printed, width=100).print(rows_table(title, rows))
    assert "…" not in printed.getvalue()
    for told in ("welcome_back@email", "36,172", "-153,534", "-72,865", "loses"):
        assert told in printed.getvalue()
