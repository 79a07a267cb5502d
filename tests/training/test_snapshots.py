"""Which past dates are learnt from, and that none looks past the date trained for."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from builders import small_frames, small_programme

from features.errors import RefusedError
from features.sources import load_tables
from training.labels import days_after, labels, longest_horizon, matures_at
from training.snapshots import YEAR_DAYS, Snapshot, build_snapshots, observe, past_dates, same_season


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    programme = small_programme(tmp_path_factory.mktemp("shop"), small_frames(members=120))
    return programme, load_tables(programme, threads=1).tables


def test_the_latest_past_date_has_just_matured_and_the_others_step_back(shop):
    programme, _ = shop
    as_of = programme.instant("2026-01-05")
    dates = [programme.local_date(date) for date in past_dates(as_of, programme)]
    today = programme.local_date(as_of)
    assert longest_horizon(programme) == 91
    assert dates == [today - timedelta(days=91 + 28 * step) for step in range(6)]


def test_no_label_window_ends_after_the_date_trained_for(shop):
    programme, tables = shop
    as_of = programme.instant("2026-01-05")
    snapshots = build_snapshots(tables, as_of, programme)
    assert [each.as_of for each in snapshots] == sorted(each.as_of for each in snapshots)
    for each in snapshots:
        assert each.matured_at == matures_at(each.as_of, programme) <= as_of
        assert each.constants.fitted_at == each.as_of
        assert (each.features["as_of"] == each.as_of).all()


def test_the_same_date_last_year_takes_the_place_of_the_earliest_where_history_reaches_that_far(shop):
    programme, tables = shop
    as_of = programme.instant("2026-01-05")
    first_order = tables.orders.ordered_at.min().to_pyarrow().as_py()
    enough = days_after(first_order, longest_horizon(programme) + YEAR_DAYS + 1, programme)
    assert enough < as_of
    snapshots = build_snapshots(tables, as_of, programme)
    recent = list(past_dates(as_of, programme))[::-1]
    assert [each.as_of for each in snapshots] == [days_after(as_of, -YEAR_DAYS, programme), *recent[1:]]
    assert same_season(snapshots, as_of, programme) is snapshots[0]

    too_early = days_after(enough, -60, programme)
    snapshots = build_snapshots(tables, too_early, programme)
    assert {each.as_of for each in snapshots} <= set(past_dates(too_early, programme))
    assert same_season(snapshots, too_early, programme) is None


def test_only_eligible_members_enter_and_every_row_has_its_priors_and_labels(shop):
    programme, tables = shop
    for each in build_snapshots(tables, programme.instant("2026-01-05"), programme):
        assert (each.features["recency_days"] <= programme.eligible.ordered_within_days).all()
        assert len(each.features) == len(each.priors) == len(each.labels)
        assert each.labels["member_id"].tolist() == each.features["member_id"].tolist()


def test_a_short_history_gives_fewer_snapshots_and_none_is_refused(shop):
    programme, tables = shop
    assert len(build_snapshots(tables, programme.instant("2026-01-05"), programme)) == 6
    assert len(build_snapshots(tables, programme.instant("2025-03-01"), programme)) < 6
    with pytest.raises(RefusedError, match="nothing to learn from before 2024-03-01"):
        build_snapshots(tables, programme.instant("2024-03-01"), programme)


def test_value_is_margin_assumed_margin_or_revenue(shop):
    programme, tables = shop
    as_of = programme.instant("2026-01-05")
    assert observe(tables, as_of, programme).value_basis == "assumed margin"
    plain = programme.model_copy(update={"value": programme.value.model_copy(update={"margin_rate": None})})
    assert observe(tables, as_of, plain).value_basis == "revenue"


def test_of_a_crowd_some_are_drawn_with_the_same_features_and_constants_of_everybody(shop):
    programme, tables = shop
    as_of = programme.instant("2025-10-06")
    everybody, some = observe(tables, as_of, programme), observe(tables, as_of, programme, most=60)
    assert len(some.features) <= 60 < len(everybody.features)
    assert some.constants == everybody.constants
    whole, drawn = (each.features.join(each.priors).set_index("member_id") for each in (everybody, some))
    pd.testing.assert_frame_equal(drawn, whole.loc[drawn.index])
    assert some.weights.sum() == pytest.approx(len(everybody.features))
    assert (everybody.weights == 1).all()


def test_evening_leaves_labels_beside_their_members(shop):
    programme, tables = shop
    then = observe(tables, programme.instant("2025-09-01"), programme, most=60)
    happened = labels(tables, then.as_of, programme, then.features["member_id"])
    drawn = Snapshot(**vars(then), labels=happened, matured_at=matures_at(then.as_of, programme))
    evened = drawn.evened()
    assert 0 < len(evened.features) < len(drawn.features) <= 60
    assert (evened.labels["member_id"] == evened.features["member_id"]).all()
    assert len(evened.priors) == len(evened.features)
    assert evened.total(np.ones(len(evened.features))) == pytest.approx(drawn.weights.sum(), rel=0.5)
