"""A sample keeps rare segments whole, and with its weights tells what all members would have told."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.programme import load_programme
from features.sources import tables_from_frames
from serving.scoring import score
from training.backtest import rehearse
from training.evaluate import churn_metrics
from training.labels import days_after, known_until, longest_horizon
from training.sampling import allocate, draw, equally_likely
from training.sim_offers import Experiment
from training.simulator import simulate

SIZES = {"rare": 40, "some": 2_000, "most": 40_000}


@pytest.fixture(scope="module")
def members() -> pd.DataFrame:
    strata = np.repeat(list(SIZES), list(SIZES.values()))
    rng = np.random.default_rng(5)
    value = rng.gamma(2, pd.Series(strata).map({"rare": 500.0, "some": 50.0, "most": 5.0}))
    return pd.DataFrame({"member_id": [f"m{row:06}" for row in range(len(strata))], "stratum": strata, "value": value})


def test_small_strata_are_taken_whole_and_the_rest_by_the_root_of_their_size():
    taken = allocate(np.array([40, 10_000, 40_000]), 6_040)
    assert taken.tolist() == [40, 2_000, 4_000]


def test_no_more_is_taken_than_asked_for_or_there_is():
    rng = np.random.default_rng(1)
    for _ in range(50):
        sizes = rng.integers(1, 10_000, rng.integers(1, 28))
        most = int(rng.integers(100, 2 * sizes.sum()))
        taken = allocate(sizes, most)
        assert (taken >= 1).all()
        assert (taken <= sizes).all()
        assert taken.sum() <= most
        assert taken.sum() == sizes.sum() or taken.sum() > min(most, sizes.sum()) - len(sizes)


def test_weights_add_up_to_everybody_in_every_stratum(members):
    rows, weights = draw(members["member_id"], members["stratum"], 3_000)
    drawn = members.iloc[rows].assign(weight=weights)
    assert len(drawn) <= 3_000
    assert drawn.groupby("stratum")["weight"].sum().to_dict() == pytest.approx(SIZES)
    assert (drawn["stratum"] == "rare").sum() == SIZES["rare"]


def test_the_same_members_are_drawn_in_whatever_order_they_come(members):
    rows, weights = draw(members["member_id"], members["stratum"], 3_000)
    shuffled = members.sample(frac=1, random_state=2)
    again, weights_again = draw(shuffled["member_id"], shuffled["stratum"], 3_000)
    chosen = pd.Series(weights, index=members["member_id"].iloc[rows])
    assert pd.Series(weights_again, index=shuffled["member_id"].iloc[again]).sort_index().equals(chosen.sort_index())


def test_weighted_totals_are_unbiased_and_unweighted_ones_are_not(members):
    """Other ids draw another sample of the same members."""
    weighted, unweighted = [], []
    for other in range(60):
        rows, weights = draw(members["member_id"] + f"x{other}", members["stratum"], 1_500)
        value = members["value"].to_numpy()[rows]
        weighted.append(weights @ value)
        unweighted.append(value.mean() * len(members))
    truth, error = members["value"].sum(), np.std(weighted) / np.sqrt(len(weighted))
    assert abs(np.mean(weighted) - truth) < 4 * error
    assert error < 0.01 * truth
    assert np.mean(unweighted) > 1.5 * truth


def test_evened_rows_have_every_stratum_at_its_share(members):
    rows, weights = draw(members["member_id"], members["stratum"], 9_000)
    drawn = members.iloc[rows]
    kept = drawn[equally_likely(drawn["member_id"], weights)]
    expected = pd.Series(SIZES) / weights.max()
    found = kept["stratum"].value_counts().reindex(expected.index, fill_value=0)
    assert (abs(found - expected) < 4 * np.sqrt(expected)).all()
    assert found["most"] == (drawn["stratum"] == "most").sum()


def test_equal_weights_keep_every_row(members):
    assert equally_likely(members["member_id"], np.full(len(members), 3.0)).all()


@pytest.mark.long
def test_of_a_simulated_programme_a_sample_teaches_what_all_members_do():
    """Half of the rows give the same totals and nearly the same loss, and totals over a sample are near the truth."""
    whole = load_programme(Path(__file__).parents[2] / "programme.toml")
    frames = simulate(4_000, 90, 5, programme=whole, experiment=Experiment(weeks=8)).tables
    loaded = tables_from_frames(whole, **frames)
    as_of = days_after(known_until(loaded.data_until, whole), -longest_horizon(whole), whole)
    full = rehearse(loaded, as_of, whole)
    most = sum(len(each.features) for each in full.snapshots) // 2
    fewer = whole.model_copy(update={"training": whole.training.model_copy(update={"most_rows": most})})
    sampled = rehearse(loaded, as_of, fewer)
    rows = [sum(len(each.features) for each in of.snapshots) for of in (full, sampled)]
    assert rows[1] < 0.55 * rows[0]
    for every, some in zip(full.snapshots, sampled.snapshots, strict=True):
        for label in ("value", "churned"):
            assert some.total(some.labels[label]) == pytest.approx(every.labels[label].sum(), rel=0.1)
    scores = [score(each.now.features, each.training.bundle) for each in (full, sampled)]
    totals = [each["expected_value"].sum() for each in scores]
    shares = [each["churn_probability"].mean() for each in scores]
    churned = full.happened["churned"]
    losses = [churn_metrics(churned, each["churn_probability"])["log_loss"] for each in scores]
    assert totals[1] == pytest.approx(totals[0], rel=0.05)
    assert shares[1] == pytest.approx(shares[0], abs=0.01)
    assert losses[1] < losses[0] + 0.02  # half of the rows teach a little less
