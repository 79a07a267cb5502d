"""Training on made-up snapshots: what is learnt, from what, and that it is always the same."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from builders import small_constants

from features.errors import RefusedError
from features.programme import parse_programme
from serving.priors import prior_columns
from serving.scoring import score
from training.fit import train
from training.level import value_level
from training.rows import split_rows
from training.snapshots import Population, Snapshot

NOW = datetime(2026, 1, 5)


def programme(**horizons):
    return parse_programme(
        {
            "name": "shop",
            "currency": "CNY",
            "data": {"orders": {"path": "orders.csv"}},
            "horizons": horizons or {"churn_days": 28, "value_days": 28},
            "training": {"threads": 1},
        }
    )


def population(as_of, *, members=600, seed=0) -> Population:
    """Members who order by habits of their own; ``habit`` is noise to nobody but the labels."""
    rng = np.random.default_rng(seed)
    repeats = rng.poisson(3, members).astype(float)
    tenure = rng.integers(100, 500, members).astype(float)
    recency = np.minimum(rng.integers(1, 200, members), tenure)
    features = pd.DataFrame(
        {
            "member_id": [f"m{row:04}" for row in range(members)],
            "as_of": pd.Series(as_of, index=range(members), dtype="datetime64[us]"),
            "repeat_order_days": repeats,
            "first_to_last_days": np.where(repeats > 0, tenure - recency, 0.0),
            "tenure_days": tenure,
            "joined_days": np.nan,
            "repeat_value_mean": np.where(repeats > 0, rng.gamma(4, 10, members), np.nan),
            "recency_days": recency,
            "gap_count": repeats,
            "gap_median_days": np.where(repeats > 0, (tenure - recency) / np.maximum(repeats, 1), np.nan),
            "value_total": rng.gamma(2, 50, members),
            "habit": np.where(rng.random(members) < 0.1, np.nan, rng.normal(size=members)),
            "always_one": 1.0,
            "category_count": repeats,
        }
    )
    constants = small_constants(as_of)
    priors = prior_columns(features, constants, 28, 28)
    return Population(as_of, features, priors, constants, "revenue", np.ones(members))


def snapshot(days_ago, *, seed, ordering=True) -> Snapshot:
    as_of = NOW - timedelta(days=days_ago)
    then = population(as_of, seed=seed)
    rng = np.random.default_rng(seed + 100)
    habit = then.features["habit"].fillna(0).to_numpy()
    ordered = (rng.random(len(habit)) < 1 / (1 + np.exp(-2 * habit))) & ordering
    labels = pd.DataFrame(
        {
            "member_id": then.features["member_id"],
            "churned": 1.0 - ordered,
            "ordered": ordered.astype(float),
            "value": ordered * rng.gamma(3, 20 * np.exp(0.3 * habit)),
        }
    )
    return Snapshot(**vars(then), labels=labels, matured_at=as_of + timedelta(days=28))


@pytest.fixture(scope="module")
def snapshots():
    return [snapshot(84, seed=1), snapshot(56, seed=2), snapshot(28, seed=3)]


@pytest.fixture(scope="module")
def now():
    return population(NOW, seed=4)


@pytest.fixture(scope="module")
def learnt(snapshots, now):
    return train(snapshots, now, programme())


def test_what_drives_the_labels_is_found(learnt):
    assert learnt.out_of_time
    assert learnt.bundle.metrics["churn_auc"] > 0.7
    assert learnt.bundle.metrics["value_spearman"] > 0.3


def test_scores_are_sane_for_members_not_seen(learnt, now):
    scores = score(now.features, learnt.bundle)
    assert scores["churn_probability"].between(0.001, 0.999).all()
    assert scores["churn_probability"].mean() == pytest.approx(0.5, abs=0.06)
    assert 40 < scores["value_if_active"].mean() < 90
    habit = now.features["habit"]
    assert scores["churn_probability"][habit > 1].mean() + 0.3 < scores["churn_probability"][habit < -1].mean()


def test_training_again_gives_the_same_version(learnt, snapshots, now):
    again = train(snapshots, now, programme()).bundle
    assert again.version == learnt.bundle.version
    assert again.metrics == learnt.bundle.metrics


def test_columns_that_tell_nothing_are_left_out(learnt):
    names = set(learnt.bundle.feature_names)
    assert not names & {"always_one", "joined_days", "member_id", "as_of"}
    assert {"habit", "recency_days", "prior_p_alive"} <= names


def test_families_that_the_programme_leaves_out_are_not_read(snapshots, now, learnt):
    assert "category_count" in learnt.bundle.feature_names
    plain = programme()
    without = plain.model_copy(update={"training": plain.training.model_copy(update={"leave_out": ("breadth",)})})
    assert "category_count" not in train(snapshots, now, without).bundle.feature_names


def test_each_horizon_has_its_classifier_when_they_differ(snapshots, now, learnt):
    assert set(learnt.bundle.models) == {"churn", "value"}
    assert set(learnt.bundle.calibrators) == {"churn"}
    both = train(snapshots, now, programme(churn_days=28, value_days=56)).bundle
    assert set(both.models) == {"churn", "orders", "value"}
    assert set(both.calibrators) == {"churn", "orders"}


def test_trees_grow_on_windows_that_had_closed_before_the_held_out_date(snapshots):
    split = split_rows(snapshots)
    held_out_as_of = snapshots[-1].as_of
    closed = [each for each in snapshots if each.matured_at <= held_out_as_of]
    assert len(split.grow.labels) == sum(len(each.labels) for each in closed)
    assert not set(split.choose.labels["member_id"]) & set(split.calibrate.labels["member_id"])
    assert len(split.choose.labels) + len(split.calibrate.labels) == len(snapshots[-1].labels)


def test_a_single_past_date_is_split_by_members_and_says_so(snapshots, now):
    learnt = train(snapshots[-1:], now, programme())
    assert not learnt.out_of_time
    split = split_rows(snapshots[-1:])
    parts = [set(rows.labels["member_id"]) for rows in (split.grow, split.choose, split.calibrate)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(snapshots[-1].labels)


def test_overlapping_past_dates_keep_each_member_on_one_side(snapshots):
    overlapping = [replace(snapshots[-2], matured_at=NOW), snapshots[-1]]
    split = split_rows(overlapping)
    assert not split.out_of_time
    assert not set(split.grow.labels["member_id"]) & set(split.calibrate.labels["member_id"])


def test_when_nobody_ordered_training_is_refused(now):
    with pytest.raises(RefusedError, match="no member ordered"):
        train([snapshot(28, seed=5, ordering=False)], now, programme())


def test_models_are_grown_as_told_and_otherwise_by_default(snapshots, now, learnt):
    stumps = train(snapshots, now, programme(), growth={"churn": {"num_leaves": 2}})
    churn, value = stumps.specs
    assert churn.growth == {**learnt.specs[0].growth, "num_leaves": 2}
    assert value == learnt.specs[1]
    assert stumps.bundle.models["value"] == learnt.bundle.models["value"]
    assert stumps.bundle.models["churn"].text.count("num_leaves=2\n") > 0


def test_values_sum_to_the_level_of_the_coming_window(snapshots):
    now = population(NOW, seed=9)
    bundle = train(snapshots, now, programme()).bundle
    total = score(now.features, bundle)["expected_value"].sum()
    by_the_trees = score(now.features, bundle.model_copy(update={"value_factor": 1.0}))["expected_value"].sum()
    by_the_formulas = now.priors["prior_expected_value"].sum()
    assert bundle.value_factor != 1.0
    assert total == pytest.approx(value_level(by_the_trees, by_the_formulas, snapshots, None))


def test_a_weighted_sample_teaches_what_all_members_would(snapshots, now, learnt):
    """Members who order are drawn three times as often as the others; their weights make up for it."""
    some = [drawn_by_outcome(each, seed) for seed, each in enumerate(snapshots)]
    assert all(each.labels["churned"].mean() < 0.35 for each in some)
    sampled = train(some, now, programme())
    every, fewer = (score(now.features, each.bundle) for each in (learnt, sampled))
    for column, error in (("churn_probability", 0.03), ("expected_value", 2.5)):
        assert fewer[column].mean() == pytest.approx(every[column].mean(), abs=error)
        assert np.corrcoef(fewer[column], every[column])[0, 1] > 0.9
    assert sampled.bundle.metrics["churn_churn_share"] == pytest.approx(0.5, abs=0.12)


def test_members_to_score_first_may_be_a_weighted_sample(snapshots, now, learnt):
    active = now.features["recency_days"] < 50
    chance = np.where(active, 0.9, 0.3)
    drawn = np.random.default_rng(3).random(len(chance)) < chance
    some = replace(
        now,
        features=now.features[drawn].reset_index(drop=True),
        priors=now.priors[drawn].reset_index(drop=True),
        weights=1 / chance[drawn],
    )
    bundle = train(snapshots, some, programme()).bundle
    every, fewer = (score(now.features, each) for each in (learnt.bundle, bundle))
    assert fewer["churn_probability"].mean() == pytest.approx(every["churn_probability"].mean(), abs=0.01)
    assert bundle.value_factor == pytest.approx(learnt.bundle.value_factor, rel=0.05)
    typical = [each.reference_profile["recency_days"].quantiles[5] for each in (learnt.bundle, bundle)]
    assert typical[1] == pytest.approx(typical[0], rel=0.1)


def drawn_by_outcome(at: Snapshot, seed: int) -> Snapshot:
    chance = np.where(at.labels["churned"] > 0, 0.3, 0.9)
    drawn = np.random.default_rng(seed).random(len(chance)) < chance
    frames = {name: getattr(at, name)[drawn].reset_index(drop=True) for name in ("features", "priors", "labels")}
    return replace(at, **frames, weights=1 / chance[drawn])
