import numpy as np
import pytest
from scipy import stats

from training.contrast import Arm, Contrast

Z95 = float(stats.norm.ppf(0.975))


def arm(outcomes: object, weights: object = None, members: object = None, *, first: int = 0) -> Arm:
    values = np.asarray(outcomes, dtype=float).reshape(len(np.atleast_1d(outcomes)), -1)
    n = len(values)
    return Arm(
        values,
        np.ones(n) if weights is None else np.asarray(weights, dtype=float),
        np.arange(first, first + n) if members is None else np.asarray(members),
    )


def shares(treated: tuple[int, int], control: tuple[int, int]) -> Contrast:
    """Contrast of `events of offers` in either arm."""
    ones = [np.r_[np.ones(events), np.zeros(size - events)] for events, size in (treated, control)]
    return Contrast(arm(ones[0]), arm(ones[1], first=treated[1]))


def test_with_equal_weights_it_is_the_difference_in_means_with_welchs_standard_error() -> None:
    rng = np.random.default_rng(1)
    treated, control = rng.gamma(2, 10, 50), rng.gamma(2, 9, 80)
    contrast = Contrast(arm(treated), arm(control, first=50))
    assert contrast.difference[0] == pytest.approx(treated.mean() - control.mean())
    assert contrast.se[0] == pytest.approx(np.sqrt(treated.var(ddof=1) / 50 + control.var(ddof=1) / 80))


def test_the_interval_for_means_is_welchs_where_outcomes_are_normal() -> None:
    rng = np.random.default_rng(1)
    treated, control = rng.normal(size=2000), 1 + 2 * rng.normal(size=3000)
    welch = stats.ttest_ind(treated, control, equal_var=False).confidence_interval(0.95)
    assert Contrast(arm(treated), arm(control, first=2000)).mean_interval(0, Z95) == pytest.approx(welch, abs=1e-4)


def test_few_orders_leave_open_how_sure_their_mean_is() -> None:
    few, many = (np.r_[np.full(orders, 60.0), np.zeros(10 * orders)] for orders in (4, 4000))
    reaches = [
        np.ptp(one.mean_interval(0, Z95)) / 2 / one.se[0]
        for one in (Contrast(arm(o), arm(0 * o, first=len(o))) for o in (few, many))
    ]
    assert reaches[0] > 2.1
    assert reaches[1] == pytest.approx(Z95, abs=0.001)


def test_weights_give_hajeks_means() -> None:
    contrast = Contrast(arm([1, 0, 0], [2, 2, 4]), arm([0, 1], [1, 3], first=3))
    assert contrast.difference[0] == pytest.approx(2 / 8 - 3 / 4)


def test_the_scale_of_weights_does_not_matter() -> None:
    one = Contrast(arm([1, 0, 3, 2], [1, 2, 1, 2]), arm([0, 1], first=4))
    other = Contrast(arm([1, 0, 3, 2], [10, 20, 10, 20]), arm([0, 1], [7, 7], first=4))
    assert one.difference == pytest.approx(other.difference)
    assert one.se == pytest.approx(other.se)


def test_a_members_offers_count_together() -> None:
    outcomes = np.tile([1.0, 0.0, 0.0, 1.0], 2)
    apart = Contrast(arm(outcomes), arm([0, 1, 0], first=8))
    together = Contrast(arm(outcomes, members=[0, 1, 2, 3, 0, 1, 2, 3]), arm([0, 1, 0], first=8))
    apart_arm, together_arm = apart.se[0] ** 2 - 1 / 9, together.se[0] ** 2 - 1 / 9
    assert together_arm == pytest.approx(2 * apart_arm)


def test_a_member_who_is_alike_in_both_arms_makes_the_difference_surer() -> None:
    outcomes = [1.0, 0.0, 0.0, 1.0, 1.0]
    same, apart = Contrast(arm(outcomes), arm(outcomes)), Contrast(arm(outcomes), arm(outcomes, first=5))
    assert same.se[0] == pytest.approx(0)
    assert np.ptp(same.share_interval(0, Z95)) < np.ptp(apart.share_interval(0, Z95)) / 3


def test_the_interval_for_shares_is_newcombes_joined_from_jeffreys() -> None:
    # Newcombe (1998), method 10, joined from Wilson's: 56/70 against 48/80, 95 %: 0.0524 to 0.3339. Ours counts n - 1.
    low, high = shares((56, 70), (48, 80)).share_interval(0, Z95)
    (treated_low, treated_high), (control_low, control_high) = (
        stats.beta.ppf([0.025, 0.975], share * size + 0.5, (1 - share) * size + 0.5)
        for share, size in ((0.8, 69), (0.6, 79))
    )
    assert low == pytest.approx(0.2 - np.hypot(0.8 - treated_low, control_high - 0.6))
    assert high == pytest.approx(0.2 + np.hypot(treated_high - 0.8, 0.6 - control_low))
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=0.004)


def test_an_arm_without_events_does_not_make_the_interval_collapse() -> None:
    contrast = shares((8, 200), (0, 200))
    low, high = contrast.share_interval(0, 3.2)
    assert low < 0 < 0.04 < high
    assert contrast.mean_interval(0, 2.5)[0] > 0
    none = shares((0, 200), (0, 200)).share_interval(0, Z95)
    assert none[0] == pytest.approx(-none[1])
    assert none[1] > 0.01


def test_intervals_for_shares_stay_within_what_is_possible() -> None:
    for treated in [(0, 5), (1, 5), (5, 5)]:
        for control in [(0, 3), (2, 3), (3, 3)]:
            low, high = shares(treated, control).share_interval(0, 3.0)
            assert -1 <= low <= treated[0] / treated[1] - control[0] / control[1] <= high <= 1


def test_outcomes_are_contrasted_side_by_side() -> None:
    both = Contrast(arm([[1, 10], [0, 20]]), arm([[0, 5], [0, 6]], first=2))
    assert both.difference == pytest.approx([0.5, 9.5])


def covered(draw: object, truth: float, *, replications: int, outcome: str) -> float:
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(replications):
        contrast: Contrast = draw(rng)  # type: ignore[operator]
        low, high = (contrast.share_interval if outcome == "share" else contrast.mean_interval)(0, Z95)
        hits += low <= truth <= high
    return hits / replications


def randomised(rng: np.random.Generator) -> Contrast:
    treated, control = rng.random(1500) < 0.09, rng.random(800) < 0.06
    return Contrast(arm(treated), arm(control, first=1500))


def few_heavy_controls(rng: np.random.Generator) -> Contrast:
    """What a log looks like in which an incentive was advised: a test at even odds, then hardly any control."""
    weights = np.repeat([1.0, 5.0], [90, 80])
    treated, control = rng.random(1500) < 0.08, rng.random(170) < 0.08
    return Contrast(arm(treated), arm(control, weights, np.arange(1500, 1670)))


@pytest.mark.parametrize("z", [1.64, 2.58])
def test_bad_luck_of_few_heavy_controls_does_not_pass_for_an_effect(z: float) -> None:
    rng, replications = np.random.default_rng(11), 4000
    false = sum(few_heavy_controls(rng).share_interval(0, z)[0] > 0 for _ in range(replications))
    assert false <= stats.binom.ppf(0.999, replications, stats.norm.sf(z))


def confounded_with_propensities(rng: np.random.Generator) -> Contrast:
    lively = rng.random(3000) < 0.5
    propensity = np.where(lively, 0.7, 0.25)
    treated = rng.random(3000) < propensity
    ordered = rng.random(3000) < np.where(lively, 0.12, 0.04) + 0.03 * treated
    members = np.arange(3000)
    return Contrast(
        arm(ordered[treated], 1 / propensity[treated], members[treated]),
        arm(ordered[~treated], 1 / (1 - propensity[~treated]), members[~treated]),
    )


def same_members_week_after_week(rng: np.random.Generator) -> Contrast:
    members = np.repeat(np.arange(700), 4)
    liveliness = np.repeat(rng.beta(0.3, 2.7, 700), 4)
    treated = rng.random(2800) < 0.5
    ordered = rng.random(2800) < np.where(treated, liveliness * 0.9 + 0.1 * 0.3, liveliness)
    return Contrast(arm(ordered[treated], members=members[treated]), arm(ordered[~treated], members=members[~treated]))


def members_who_are_control_throughout(rng: np.random.Generator) -> Contrast:
    members = np.repeat(np.arange(900), 4)
    liveliness = np.repeat(rng.beta(0.3, 2.7, 900), 4)
    treated = members < 600
    ordered = rng.random(3600) < liveliness
    return Contrast(arm(ordered[treated], members=members[treated]), arm(ordered[~treated], members=members[~treated]))


@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (randomised, 0.03),
        (confounded_with_propensities, 0.03),
        (same_members_week_after_week, 0.02),
        (members_who_are_control_throughout, 0.0),
    ],
)
@pytest.mark.parametrize("outcome", ["share", "mean"])
def test_intervals_cover_the_truth_about_95_times_in_100(draw: object, truth: float, outcome: str) -> None:
    replications = 600
    share = covered(draw, truth, replications=replications, outcome=outcome)
    low, high = stats.binom.ppf([0.0005, 0.9995], replications, 0.95) / replications
    assert low <= share <= high
