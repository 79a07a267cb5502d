"""Planted leaks are refused by name; honest features never are."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import small_constants

from features.errors import InputError, RefusedError
from features.programme import Programme, load_programme, parse_programme
from features.sources import Loaded, load_tables, tables_from_frames
from training.demo_data import write_dataset
from training.guard import Power, powers, refuse_leaks
from training.labels import days_after
from training.simulator import Experiment, simulate
from training.snapshots import Population, Snapshot, build_snapshots, observe

REPOSITORY = Path(__file__).parents[2]
NOW = datetime(2026, 1, 5)
PROGRAMME = parse_programme(
    {
        "name": "shop",
        "currency": "CNY",
        "data": {"orders": {"path": "orders.csv"}},
        "horizons": {"churn_days": 28, "value_days": 28},
        "training": {"threads": 1, "snapshots": 3},
    }
)


def population(as_of: datetime, recency: np.ndarray) -> Population:
    members = len(recency)
    features = pd.DataFrame(
        {
            "member_id": [f"m{row:05}" for row in range(members)],
            "as_of": pd.Series(as_of, index=range(members), dtype="datetime64[us]"),
            "recency_days": recency,
            "never_known": np.nan,
        }
    )
    nothing = pd.DataFrame(index=features.index)
    return Population(as_of, features, nothing, small_constants(as_of), "revenue", np.ones(members))


def snapshot(days_ago: int, *, members: int = 2_000) -> Snapshot:
    """A date at which recency honestly tells something: AUC about 0.9."""
    as_of = NOW - timedelta(days=days_ago)
    rng = np.random.default_rng(days_ago)
    recency = rng.gamma(2, 20, members).round()
    churned = (rng.random(members) < 1 / (1 + np.exp(-(recency - 40) / 8))).astype(float)
    then = population(as_of, recency)
    labels = pd.DataFrame({"member_id": then.features["member_id"], "churned": churned})
    return Snapshot(**vars(then), labels=labels, matured_at=as_of + timedelta(days=28))


def planted(at: Snapshot, values: object) -> Snapshot:
    return replace(at, features=at.features.assign(unsubscribed=values))


@pytest.fixture
def snapshots():
    return [snapshot(84), snapshot(56), snapshot(28)]


@pytest.fixture
def now():
    return population(NOW, np.ones(100))


def test_honest_recency_passes_however_strong(snapshots, now):
    refuse_leaks(snapshots, now, PROGRAMME)
    strong = {power.feature: power for power in powers(*snapshots[:2], 28)}["recency_days"]
    assert 0.8 < strong.then < 0.95
    assert strong.later == pytest.approx(strong.then, abs=0.03)


def with_the_dead(living: Snapshot) -> Snapshot:
    """As many members again who have been away for years, beside living ones of whom 2 % churn."""
    rng = np.random.default_rng(0)
    members = len(living.features)
    recency = np.concatenate([rng.integers(1, 20, members), rng.integers(1_000, 2_000, members)]).astype(float)
    churned = np.concatenate([rng.random(members) < 0.02, rng.random(members) < 0.999]).astype(float)
    then = population(living.as_of, recency)
    labels = pd.DataFrame({"member_id": then.features["member_id"], "churned": churned})
    return Snapshot(**vars(then), labels=labels, matured_at=living.matured_at)


def test_members_gone_for_years_do_not_make_recency_a_leak_and_hide_none(now):
    half_dead = [with_the_dead(snapshot(days_ago, members=6_000)) for days_ago in (56, 28)]
    assert {power.feature for power in powers(*half_dead, 28)} == {"recency_days", "never_known"}
    refuse_leaks(half_dead, now, PROGRAMME)
    leaking = [planted(each, each.labels["churned"]) for each in half_dead]
    with pytest.raises(RefusedError, match="unsubscribed alone tells who will churn") as refused:
        refuse_leaks(leaking, now, PROGRAMME)
    assert "recency_days" not in str(refused.value)


@pytest.mark.parametrize(
    "leak",
    [
        lambda churned: churned,
        lambda churned: np.where(churned > 0, 3.0, np.nan),
        lambda churned: np.where(churned > 0, np.arange(len(churned)) % 2 * 10.0 - 5, 0.0),
    ],
    ids=["the label", "missing unless churned", "either side of the others"],
)
def test_a_feature_that_alone_separates_the_label_is_refused_by_name(snapshots, now, leak):
    leaking = [planted(each, leak(each.labels["churned"].to_numpy())) for each in snapshots]
    with pytest.raises(RefusedError, match="unsubscribed alone tells who will churn after 2025-10-13") as refused:
        refuse_leaks(leaking, now, PROGRAMME)
    assert "recency_days" not in str(refused.value)


def test_a_feature_whose_power_collapses_one_snapshot_later_is_refused_by_name(snapshots, now):
    rng = np.random.default_rng(1)
    churned = [each.labels["churned"].to_numpy() for each in snapshots]
    mostly_right = np.where(rng.random(len(churned[0])) < 0.85, churned[0], 1 - churned[0])
    backfilled = [mostly_right, rng.random(len(churned[1])), rng.random(len(churned[2]))]
    leaking = [planted(each, values) for each, values in zip(snapshots, backfilled, strict=True)]
    with pytest.raises(RefusedError, match=r"unsubscribed tells who churned .*, but no more one date later"):
        refuse_leaks(leaking, now, PROGRAMME)


def trusting(*features: str) -> Programme:
    training = PROGRAMME.training.model_copy(update={"trusted_features": features})
    return PROGRAMME.model_copy(update={"training": training})


def test_a_refused_feature_passes_once_the_programme_trusts_it_and_no_other_does(snapshots, now):
    leaking = [planted(each, each.labels["churned"]) for each in snapshots]
    asked = replace(now, features=now.features.assign(unsubscribed=0.0))
    with pytest.raises(RefusedError, match="trusted_features"):
        refuse_leaks(leaking, asked, PROGRAMME)
    refuse_leaks(leaking, asked, trusting("unsubscribed"))
    with pytest.raises(RefusedError, match="unsubscribed alone tells who will churn"):
        refuse_leaks(leaking, asked, trusting("recency_days"))


def test_trusting_a_feature_excuses_no_overlap_of_labels_and_features(snapshots, now):
    overlapping = [*snapshots[:2], replace(snapshots[2], matured_at=NOW + timedelta(days=9))]
    with pytest.raises(RefusedError, match="labels of 2025-12-08 run until 2026-01-14") as refused:
        refuse_leaks(overlapping, now, trusting("recency_days"))
    assert "trusted_features" not in str(refused.value)


@pytest.mark.parametrize(("name", "hint"), [("recency_day", "'recency_days'"), ("xyz", "docs/features.md")])
def test_a_trusted_feature_that_does_not_exist_is_named(snapshots, now, name, hint):
    with pytest.raises(InputError, match=f"training.trusted_features: there is no feature '{name}'.*{hint}"):
        refuse_leaks(snapshots, now, trusting(name))


def test_label_windows_beyond_the_features_are_refused(snapshots, now):
    overlapping = [*snapshots[:2], replace(snapshots[2], matured_at=NOW + timedelta(days=9))]
    with pytest.raises(RefusedError, match="labels of 2025-12-08 run until 2026-01-14"):
        refuse_leaks(overlapping, now, PROGRAMME)


def test_features_and_constants_from_after_the_label_starts_are_refused(snapshots, now):
    later = snapshots[0].features.assign(as_of=pd.Timestamp(NOW))
    with pytest.raises(RefusedError, match="features beside the labels of 2025-10-13 have seen days after it"):
        refuse_leaks([replace(snapshots[0], features=later)], now, PROGRAMME)
    with pytest.raises(RefusedError, match="constants beside the labels of 2025-10-13"):
        refuse_leaks([replace(snapshots[0], constants=small_constants(NOW))], now, PROGRAMME)


def test_a_handful_of_members_is_not_judged(now):
    few = [planted(each, each.labels["churned"]) for each in (snapshot(56, members=60), snapshot(28, members=60))]
    assert list(powers(*few, 28)) == []
    refuse_leaks(few, now, PROGRAMME)


def pair(loaded: Loaded, programme: Programme, as_of: datetime) -> tuple[list[Snapshot], Population]:
    fewer = programme.training.model_copy(update={"snapshots": 2, "threads": 1})
    programme = programme.model_copy(update={"training": fewer})
    return build_snapshots(loaded.tables, as_of, programme), observe(loaded.tables, as_of, programme)


@pytest.mark.long
@pytest.mark.parametrize(("name", "as_of"), [("cdnow", "1997-10-01"), ("complete_journey", "2017-12-02")])
def test_public_data_pass(name, as_of, tmp_path):
    programme = load_programme(REPOSITORY / "programmes" / f"{name}.toml")
    folder = {"cdnow": "data", "complete_journey": "demo"}[name]
    (tmp_path / "programmes").mkdir()
    write_dataset(name, tmp_path / folder / name)
    loaded = load_tables(programme.model_copy(update={"folder": tmp_path / "programmes"}), threads=1)
    refuse_leaks(*pair(loaded, programme, programme.instant(as_of)), programme)


def test_a_simulated_programme_passes():
    programme = load_programme(REPOSITORY / "programme.toml")
    frames = simulate(1_500, 80, 3, programme=programme, experiment=Experiment(weeks=8)).tables
    loaded = tables_from_frames(programme, **frames)
    snapshots, now = pair(loaded, programme, days_after(loaded.data_until, 1, programme))
    refuse_leaks(snapshots, now, programme)
    assert len(list(powers(*snapshots, programme.horizons.churn_days))) == snapshots[0].features.shape[1] - 2


def test_a_loss_of_power_that_chance_explains_is_no_leak():
    few_churned, many_churned = (Power("first_to_last_days", 0.83, 0.63, noise) for noise in (0.08, 0.02))
    assert not few_churned.collapses
    assert many_churned.collapses
