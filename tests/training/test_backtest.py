"""A back-test pretends to stand at a past date: nothing later may reach the model."""

import pandas as pd
import pytest
from builders import small_frames, small_programme

from features.errors import RefusedError
from features.sources import tables_from_frames
from training.backtest import OURS, backtest
from training.peers import PEERS, bench_peers

AS_OF = "2025-09-01"


@pytest.fixture(scope="module")
def frames():
    return small_frames(members=150)


@pytest.fixture(scope="module")
def programme(tmp_path_factory, frames):
    programme = small_programme(tmp_path_factory.mktemp("shop"), frames)
    fewer = programme.training.model_copy(update={"snapshots": 1})
    return programme.model_copy(update={"training": fewer})


@pytest.fixture(scope="module")
def result(programme, frames):
    return backtest(tables_from_frames(programme, **frames), programme.instant(AS_OF), programme)


def test_ours_stands_beside_every_peer_in_both_tables(result):
    for table in (result.churn, result.value):
        assert table["model"].tolist() == [OURS, *PEERS]
    assert result.churn["auc"].between(0, 1).all()
    assert result.churn["log_loss"].between(0, 2).all()
    assert (result.value["rmse"] > 0).all()
    assert result.churn.set_index("model").loc["base rate", "auc"] == pytest.approx(0.5)


def test_a_peer_asked_for_besides_is_judged_too(programme, frames):
    asked = {name: bench_peers(28)[name] for name in ("base rate", "BG/NBD + Gamma-Gamma", "plain LightGBM")}
    result = backtest(tables_from_frames(programme, **frames), programme.instant(AS_OF), programme, peers=asked)
    assert list(result.predictions) == result.churn["model"].tolist() == [OURS, *asked]
    plain = result.predictions["plain LightGBM"]
    assert len(plain) == len(result.members)
    assert plain["churn_probability"].between(0, 1).all()
    assert (plain["expected_value"] >= 0).all()


def test_members_carry_scores_and_outcomes_and_the_deciles_hold_all_of_them(result):
    assert {"churn_probability", "expected_value", "churned", "ordered", "value"} <= set(result.members)
    assert result.members["member_id"].is_unique
    for deciles in (result.churn_deciles, result.value_deciles):
        assert deciles["members"].sum() == len(result.members)
    assert result.value_deciles["actual_total"].sum() == pytest.approx(result.members["value"].sum())


def test_what_happened_from_the_date_on_never_reaches_the_model(programme, frames, result):
    as_of = programme.instant(AS_OF)
    local = pd.Timestamp(AS_OF)
    orders = frames["orders"]
    later = orders["ordered_at"] >= local
    changed = orders.assign(net_amount=orders["net_amount"].where(~later, orders["net_amount"] * 7 + 1))
    gone = changed[~later | (changed["order_id"].str[-1] > "4")]
    lines = frames["order_lines"]
    events = frames["events"]
    other = {
        **frames,
        "orders": gone,
        "order_lines": lines[lines["order_id"].isin(gone["order_id"])],
        "events": events[(events["occurred_at"] < local) | (events["event"] == "visit")],
    }
    mutated = backtest(tables_from_frames(programme, **other), as_of, programme)
    assert mutated.bundle.version == result.bundle.version
    assert mutated.members["churn_probability"].tolist() == result.members["churn_probability"].tolist()
    assert mutated.members["value"].sum() != result.members["value"].sum()


def test_a_date_whose_outcome_is_not_known_yet_is_refused(programme, frames):
    loaded = tables_from_frames(programme, **frames)
    with pytest.raises(RefusedError, match="the latest possible date is"):
        backtest(loaded, programme.instant("2025-12-01"), programme)
