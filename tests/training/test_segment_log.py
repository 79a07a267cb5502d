import numpy as np
import pandas as pd
import pytest
from scipy import stats

from training.prognosis import foresee, member_folds
from training.segment_log import SegmentLog

MONDAY = pd.Timestamp("2026-01-05")
GAIN = 0.05


def drawn(
    rng: np.random.Generator, *, confounding: float = 0.0, size: int = 3000, repeats: int = 1, foreseen: bool = True
) -> pd.DataFrame:
    """Offers whose outcome can be foreseen in part; with confounding, the foreseeable are treated more often."""
    member = np.repeat(np.arange(size // repeats), repeats)
    lively = rng.normal(size=len(member))[member]
    propensity = 1 / (1 + np.exp(0.4 - confounding * lively))
    treated = rng.random(len(member)) < propensity
    chance = np.clip(0.3 + 0.18 * lively, 0, 0.9)
    recall = (rng.random(len(member)) < chance + GAIN * treated).astype(float)
    margin = recall * rng.lognormal(3, 0.8, len(member))
    told = {"foreseen_recall": chance - 0.1, "foreseen_margin": 30 * chance} if foreseen else {}
    return pd.DataFrame(
        {
            "member_id": member, "incentive_id": np.where(treated, "mail", "control"), "week": MONDAY,
            "weight": 1 / np.where(treated, propensity, 1 - propensity), "recall": recall, "margin": margin,
            "net": margin, "cost": 0.0, "redeemed": 0.0, **told,
        }
    )  # fmt: skip


def test_adjusting_for_what_was_foreseen_makes_estimates_surer_and_keeps_them_unbiased() -> None:
    rng, apart, ratios = np.random.default_rng(1), [], []
    for _ in range(150):
        log = SegmentLog(drawn(rng))
        adjusted, plain = log.contrast("mail", "control"), log.contrast("mail", "control", adjusted=False)
        apart.append(adjusted.difference[0] - GAIN)
        ratios.append(adjusted.se[0] / plain.se[0])
    assert np.mean(ratios) < 0.95
    assert abs(np.mean(apart)) < 4 * np.std(apart) / np.sqrt(len(apart))


def test_what_tells_nothing_costs_nothing() -> None:
    offers = drawn(np.random.default_rng(2)).assign(foreseen_recall=0.5, foreseen_margin=0.0)
    log = SegmentLog(offers)
    adjusted, plain = log.contrast("mail", "control"), log.contrast("mail", "control", adjusted=False)
    assert adjusted.difference == pytest.approx(plain.difference)
    assert adjusted.se == pytest.approx(plain.se, rel=2e-3)


@pytest.mark.parametrize(("confounding", "repeats"), [(0.0, 1), (0.8, 1), (0.0, 3)])
def test_adjusted_intervals_cover_the_truth_about_95_times_in_100(confounding: float, repeats: int) -> None:
    rng, replications, hits = np.random.default_rng(3), 500, 0
    for _ in range(replications):
        log = SegmentLog(drawn(rng, confounding=confounding, size=900, repeats=repeats))
        contrast = log.contrast("mail", "control")
        assert contrast is not None
        low, high = contrast.share_interval(0, 1.959964)
        hits += low <= GAIN <= high
    low, high = stats.binom.ppf([0.0005, 0.9995], replications, 0.95)
    assert low <= hits <= high


def test_small_arms_are_compared_as_they_are() -> None:
    offers = drawn(np.random.default_rng(4), size=40)
    log = SegmentLog(offers)
    assert log.contrast("mail", "control").difference == pytest.approx(
        log.contrast("mail", "control", adjusted=False).difference
    )


def test_an_arm_with_hardly_any_offers_is_not_compared() -> None:
    offers = drawn(np.random.default_rng(5), size=40).assign(incentive_id=["mail", *["control"] * 39])
    assert SegmentLog(offers).contrast("mail", "control") is None
    assert SegmentLog(offers).sizes("mail", "coupon") == (0, 0)


def test_offers_are_foreseen_from_other_members_offers_alone() -> None:
    rng = np.random.default_rng(6)
    offers = drawn(rng, size=3000, repeats=3).assign(lively=rng.normal(size=3000), member=lambda o: o["member_id"])
    before = foresee(offers, ["lively", "member"], ["recall"], seed=1, threads=1)
    fold = member_folds(offers["member_id"]) == 0
    changed = offers.assign(recall=np.where(fold, 1 - offers["recall"], offers["recall"]))
    after = foresee(changed, ["lively", "member"], ["recall"], seed=1, threads=1)
    assert (after[fold] == before[fold]).all()
    assert (after[~fold] != before[~fold]).any()


def followed(rng: np.random.Generator, *, weeks: int = 5, size: int = 300) -> pd.DataFrame:
    """Offers nearly all of which are mail once mail looks better, and hardly any while it looks worse."""
    treated, recall = np.zeros((weeks, size), dtype=bool), rng.random((weeks, size)) < 0.3
    shares = np.full(weeks, 0.5)
    for week in range(weeks):
        if week:
            seen, got = recall[:week], treated[:week]
            shares[week] = 0.95 if seen[got].mean() > seen[~got].mean() else 0.05
        treated[week] = rng.random(size) < shares[week]
    outcome, share = recall.ravel().astype(float), np.repeat(shares, size)
    return pd.DataFrame(
        {
            "member_id": np.arange(weeks * size), "week": np.repeat(np.arange(weeks), size),
            "incentive_id": np.where(treated.ravel(), "mail", "control"),
            "weight": 1 / np.where(treated.ravel(), share, 1 - share),
            "recall": outcome, "margin": outcome, "net": outcome, "cost": 0.0, "redeemed": 0.0,
        }
    )  # fmt: skip


def test_intervals_cover_the_truth_where_the_odds_followed_what_was_seen() -> None:
    rng, replications = np.random.default_rng(7), 200
    contrasts = [SegmentLog(followed(rng)).contrast("mail", "control") for _ in range(replications)]
    scores = np.array([each.difference[0] / each.se[0] for each in contrasts if each])
    assert abs(scores.mean()) < 4 / np.sqrt(replications)
    low, high = stats.binom.ppf([0.0005, 0.9995], replications, 0.95)
    assert low <= (abs(scores) < 1.959964).sum() <= high


def test_weeks_count_alike_where_the_odds_never_changed() -> None:
    offers = drawn(np.random.default_rng(9), foreseen=False)
    weeks = MONDAY + pd.to_timedelta(7 * (offers.index.to_numpy() % 4), unit="D")
    several, one = SegmentLog(offers.assign(week=weeks)), SegmentLog(offers)
    assert several.contrast("mail", "control").difference == pytest.approx(one.contrast("mail", "control").difference)
    assert several.contrast("mail", "control").se == pytest.approx(one.contrast("mail", "control").se)
