"""A simulated programme keeps its own rules, and its incentives do what the truth says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.build import build_features
from features.programme import Programme, load_programme
from features.schemas import EVENTS
from features.sources import Loaded, load_tables
from serving.segments import POLICY_SEGMENTS, check_personas, segment_members
from training.constants import fit_constants
from training.sim_members import make_calendar
from training.sim_offers import Experiment, draw_effects
from training.simulator import START, Simulation, simulate, write

MEMBERS, WEEKS, SEED = 1_500, 78, 3


@pytest.fixture(scope="module")
def programme() -> Programme:
    return load_programme(Path(__file__).parents[2] / "programme.toml")


@pytest.fixture(scope="module")
def simulation(programme) -> Simulation:
    return simulate(MEMBERS, WEEKS, SEED, programme=programme, experiment=Experiment(weeks=12))


@pytest.fixture(scope="module")
def loaded(simulation, programme, tmp_path_factory) -> Loaded:
    folder = tmp_path_factory.mktemp("simulated")
    write(simulation, folder / "demo" / "simulated")
    return load_tables(programme.model_copy(update={"folder": folder}))


@pytest.fixture(scope="module")
def trial(programme) -> Simulation:
    """Large effects, so that few members show them."""
    return simulate(
        6_000,
        60,
        5,
        programme=programme,
        experiment=Experiment(weeks=20, points=(0.15, 0.25)),
        season=0,
        trend_per_year=0,
    )


def without_aliases(simulation: Simulation, name: str) -> pd.DataFrame:
    aliases = simulation.tables["identities"].set_index("alias_id")["member_id"]
    table = simulation.tables[name]
    return table.assign(member_id=table["member_id"].map(aliases).fillna(table["member_id"]))


def test_the_same_seed_gives_the_same_programme_and_another_seed_another(programme):
    brief = Experiment(weeks=2)
    first, again, other = (simulate(150, 30, seed, programme=programme, experiment=brief) for seed in (1, 1, 2))
    for name, table in first.tables.items():
        pd.testing.assert_frame_equal(table, again.tables[name])
    for name, table in first.truth.items():
        pd.testing.assert_frame_equal(table, again.truth[name])
    assert not first.tables["orders"].equals(other.tables["orders"])


def test_the_tables_fit_the_contract_with_nothing_set_aside(loaded, programme):
    check_personas(programme)
    assert not any(finding.set_aside for finding in loaded.findings)


def test_truth_is_written_apart_from_the_tables(simulation, tmp_path):
    files = write(simulation, tmp_path)
    assert {file.name for file in tmp_path.glob("*.parquet")} == {f"{name}.parquet" for name in simulation.tables}
    assert {file.name for file in (tmp_path / "truth").iterdir()} == {f"{name}.parquet" for name in simulation.truth}
    assert all(file.exists() for file in files)


def test_nobody_orders_or_is_contacted_before_joining(simulation):
    joined = simulation.tables["members"].set_index("member_id")["joined_at"]
    for name, time in (("orders", "ordered_at"), ("events", "occurred_at"), ("offers", "assigned_at")):
        table = without_aliases(simulation, name)
        assert (table[time] > table["member_id"].map(joined) - timedelta(hours=1)).all(), name


def test_nothing_is_recorded_after_the_end(simulation):
    end = np.datetime64(START + timedelta(weeks=WEEKS), "us")
    tables = simulation.tables
    assert tables["orders"]["ordered_at"].max() < end
    assert tables["events"]["occurred_at"].max() < end
    assert tables["offers"]["redeemed_at"].max() < end
    assert tables["contacts"]["updated_at"].max() < end


def test_every_return_names_an_earlier_order_of_the_same_member(simulation):
    orders = without_aliases(simulation, "orders")
    returns = orders[orders["is_return"]].merge(orders, left_on="return_of", right_on="order_id", suffixes=("", "_of"))
    assert len(returns) == orders["is_return"].sum() > 0
    assert (returns["member_id"] == returns["member_id_of"]).all()
    assert (returns["ordered_at"] > returns["ordered_at_of"]).all()
    assert (-returns["net_amount"] <= returns["net_amount_of"] + 0.01).all()


def test_order_lines_add_up_to_their_orders(simulation):
    orders = simulation.tables["orders"].query("not is_return").set_index("order_id")["net_amount"]
    lines = simulation.tables["order_lines"].groupby("order_id")["net_amount"].sum()
    assert (orders - lines.reindex(orders.index)).abs().max() < 0.01


def test_every_kind_of_event_occurs(simulation):
    assert set(simulation.tables["events"]["event"].unique()) == set(EVENTS)


def test_visits_fade_before_members_leave(simulation):
    events = without_aliases(simulation, "events")
    traits = simulation.truth["members"].query("not hesitant and not natural_end and leaves > joined + 200")
    visits = events[events["event"] == "visit"].merge(traits, on="member_id")
    day = (visits["occurred_at"] - pd.Timestamp(START)) / timedelta(days=1)
    before = visits["leaves"] - day
    assert before.between(0, 28).sum() < 0.8 * before.between(100, 128).sum()


def test_unsubscribing_ends_messages_and_consent(simulation):
    events = without_aliases(simulation, "events")
    gone = events[events["event"] == "unsubscribe"].set_index("member_id")["occurred_at"]
    sent = events[events["event"] == "message_sent"]
    assert not (sent["occurred_at"] > sent["member_id"].map(gone)).any()
    contacts = simulation.tables["contacts"].sort_values("updated_at")
    last = contacts[contacts["member_id"].isin(gone.index)].groupby(["member_id", "channel"])["consent"].last()
    assert not last.any()


def test_offers_respect_the_cooldown(simulation, programme):
    offers = simulation.tables["offers"].sort_values(["member_id", "assigned_at"])
    between = offers.groupby("member_id")["assigned_at"].diff().dropna()
    assert between.min() >= timedelta(days=programme.guardrails.cooldown_days)


def test_offers_go_by_lot_with_the_probabilities_that_are_logged(simulation, programme):
    offers = simulation.tables["offers"]
    control = offers["incentive_id"] == programme.guardrails.control_id
    assert offers["propensity"].between(0, 1).all()
    expected, count = offers.loc[control, "propensity"].iloc[0] * len(offers), len(offers)
    assert abs(control.sum() - expected) < 4 * np.sqrt(count / 4)
    sent = offers[~control & offers["policy_segment"].str.startswith("low")]
    shares = sent["incentive_id"].value_counts(normalize=True)
    assert "dedicated_service" not in shares
    assert shares.max() - shares.min() < 0.06


def test_segments_are_those_the_product_would_have_logged(simulation, loaded, programme):
    features = {}
    offers = simulation.tables["offers"]
    first, later = offers["assigned_at"].min().normalize(), offers["assigned_at"].max().normalize()
    for day in (first, later):
        features[day] = build_features(loaded.tables, programme.instant(day.to_pydatetime()), programme)
    constants = fit_constants(features[first], programme, programme.instant(first.to_pydatetime()))
    for day in (first, later):
        placed = segment_members(features[day], constants, programme).set_index("member_id")["policy_segment"]
        logged = offers[offers["assigned_at"].dt.normalize() == day]
        assert (logged["policy_segment"] == logged["member_id"].map(placed)).mean() > 0.999


def test_effects_are_drawn_for_every_segment_and_about_half_do_nothing(programme):
    drawn = pd.concat([draw_effects(np.random.default_rng(seed), programme, (0.01, 0.04)) for seed in range(5)])
    kinds = drawn["kind"].value_counts(normalize=True)
    assert 0.4 < kinds["null"] < 0.6
    assert kinds["works"] > kinds["harmful"] > 0
    assert drawn.query("kind == 'works'")["gain"].between(0.01, 0.04).all()
    assert (drawn.query("kind == 'null'")[["gain", "loss"]] == 0).all(axis=None)


def test_effects_depend_on_the_seed_and_not_on_the_number_of_members(programme):
    brief = Experiment(weeks=1)
    few, more = (simulate(n, 30, 1, programme=programme, experiment=brief).truth["effects"] for n in (100, 150))
    drawn = ["policy_segment", "incentive_id", "kind", "gain", "loss", "basket", "redemption"]
    pd.testing.assert_frame_equal(few[drawn], more[drawn])


def test_the_truth_has_every_policy_segment_and_incentive_once(simulation, programme):
    effects = simulation.truth["effects"]
    assert len(effects) == len(POLICY_SEGMENTS) * len(programme.incentives)
    assert not effects.duplicated(["policy_segment", "incentive_id"]).any()
    assert set(simulation.truth["choices"]["policy_segment"]) == set(POLICY_SEGMENTS)


def test_an_incentive_without_effect_changes_nobodys_orders(trial):
    kinds = trial.truth["effects"][["policy_segment", "incentive_id", "kind"]]
    offers = trial.truth["offers"].merge(kinds, how="left")
    inert = offers[(offers["kind"] == "null") | (offers["incentive_id"] == "control")]
    assert (inert["ordered"] == inert["would_order"]).all()
    assert np.allclose(inert["margin"], inert["would_margin"])


def test_randomised_differences_show_the_true_effects(trial):
    offers = trial.truth["offers"]
    arms = offers.groupby(["policy_segment", "incentive_id"])["ordered"].agg(["mean", "size"]).reset_index()
    control = arms[arms["incentive_id"] == "control"].set_index("policy_segment")
    arms = arms.merge(trial.truth["effects"][["policy_segment", "incentive_id", "recall"]])
    arms = arms[(arms["size"] >= 100) & (arms["policy_segment"].map(control["size"]) >= 100)]
    against = control.loc[arms["policy_segment"]]
    variance = lambda share, size: (share * (1 - share)).clip(0.01) / size  # noqa: E731
    error = np.sqrt(
        variance(arms["mean"].to_numpy(), arms["size"].to_numpy())
        + variance(against["mean"].to_numpy(), against["size"].to_numpy())
    )
    off = (arms["mean"].to_numpy() - against["mean"].to_numpy() - arms["recall"].to_numpy()) / error
    assert len(off) >= 15
    assert np.abs(off).max() < 4
    assert np.mean(off**2) < 2


def test_recalled_members_order_within_the_response_window_with_a_margin(trial):
    recalled = trial.truth["offers"].query("ordered and not would_order")
    assert len(recalled) > 100
    assert recalled["margin"].mean() > 0


def test_offers_cost_on_average_what_the_truth_says_a_share_of_the_order_included(trial, programme):
    effects = trial.truth["effects"][["policy_segment", "incentive_id", "cost"]]
    offers = trial.tables["offers"].merge(effects, on=["policy_segment", "incentive_id"])
    closed = offers[offers["assigned_at"] < offers["assigned_at"].max() - timedelta(days=28)]
    by_incentive = closed.groupby("incentive_id").agg(
        logged=("cost_amount", "mean"), error=("cost_amount", "sem"), true=("cost", "mean")
    )
    assert "ten_percent" in by_incentive.index
    assert ((by_incentive["logged"] - by_incentive["true"]).abs() < 3 * by_incentive["error"] + 1e-9).all()


def test_a_share_of_the_order_is_taken_of_the_order_it_was_redeemed_on(trial, programme):
    (coupon,) = (one for one in programme.incentives if one.face_share > 0)
    orders = without_aliases(trial, "orders").set_index(["member_id", "ordered_at"])["net_amount"]
    used = trial.tables["offers"].query("incentive_id == @coupon.id and redeemed_at.notna()")
    amounts = orders.loc[pd.MultiIndex.from_frame(used[["member_id", "redeemed_at"]])].to_numpy()
    expected = coupon.contact_cost + coupon.face_share * amounts
    assert len(used) > 100
    assert np.allclose(used["cost_amount"], expected, atol=1e-4)


def test_confounding_treats_those_who_ordered_lately_more_often(programme):
    options = {"programme": programme, "season": 0.0}
    biased = simulate(1_500, 50, 1, experiment=Experiment(weeks=8, confounding=1.5, log_propensities=False), **options)
    assert "propensity" not in biased.tables["offers"]
    recall = biased.truth["offers"].assign(treated=lambda offers: offers["incentive_id"] != "control")
    would = recall.groupby("treated")["would_order"].mean()
    assert would[True] > would[False] + 0.1


def test_season_and_trend_can_be_turned_off():
    flat = make_calendar(START, 400, season=0, trend_per_year=0)
    assert np.ptp(flat.busyness) == 0
    lively = make_calendar(START, 400, season=1, trend_per_year=0.2)
    assert lively.busyness[(pd.Timestamp(2023, 11, 11) - pd.Timestamp(START)).days] > 1.8 * lively.busyness.mean()
    assert lively.busyness[365] > lively.busyness[0]
