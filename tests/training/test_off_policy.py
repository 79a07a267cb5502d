import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from features.errors import RefusedError
from features.programme import Programme, parse_programme
from training.off_policy import PolicyValue, evaluate, proposing
from training.offer_log import OfferLog

SEGMENTS = ("high__mid", "low__mid")
NET = pd.DataFrame({"control": [5.0, 2.0], "mail": [6.0, 1.0]}, index=list(SEGMENTS))


def programme(enough: int = 1) -> Programme:
    given = {
        "incentives": [{"id": "mail", "name_en": "mail", "name_zh": "mail"}],
        "guardrails": {"min_treated": enough, "min_control": enough},
        "data": {"orders": {"path": "orders.csv"}},
        "training": {"threads": 1},
    }
    return parse_programme({"name": "t", "currency": "EUR", **given})


def log(rows: list[tuple[str, str, str, float, float]]) -> OfferLog:
    columns = ["member_id", "policy_segment", "incentive_id", "propensity", "net"]
    return OfferLog(pd.DataFrame(rows, columns=columns), "propensity", 0, ())


def always(incentive_id: str, given: OfferLog) -> pd.DataFrame:
    return proposing(pd.Series(incentive_id, index=given.offers.index), programme())


def by_method(values: list[PolicyValue]) -> dict[str, PolicyValue]:
    return {value.method: value for value in values}


def drawn(rng: np.random.Generator, size: int) -> OfferLog:
    """Offers whose chance of mail, and whose value, both follow how lively the member is."""
    lively, segment = rng.normal(size=size), rng.integers(0, 2, size)
    chance = np.clip(0.4 + 0.15 * lively, 0.1, 0.9)
    mailed = rng.random(size) < chance
    arms = np.where(mailed, "mail", "control")
    mean = NET.to_numpy()[segment, mailed.astype(int)]
    offers = pd.DataFrame(
        {
            "member_id": rng.integers(0, size // 2, size).astype(str), "policy_segment": np.array(SEGMENTS)[segment],
            "incentive_id": arms, "propensity": np.where(mailed, chance, 1 - chance), "lively": lively,
            "net": mean + 2 * lively + rng.normal(size=size),
        }
    )  # fmt: skip
    return OfferLog(offers, "propensity", 0, (), ("lively",))


def test_a_small_log_gives_what_one_computes_by_hand() -> None:
    given = log([("a", "low__mid", "mail", 0.5, 8.0), ("b", "low__mid", "mail", 0.25, 2.0),
                 ("c", "low__mid", "control", 0.5, 3.0), ("d", "low__mid", "control", 0.75, 1.0)])  # fmt: skip
    values, support = evaluate(given, always("mail", given), programme())
    found = by_method(values)
    assert found["ips"].value == pytest.approx((8 / 0.5 + 2 / 0.25) / 4)
    assert found["snips"].value == pytest.approx((8 / 0.5 + 2 / 0.25) / (1 / 0.5 + 1 / 0.25))
    assert found["ips"].beyond_nothing == pytest.approx(6 - (3 / 0.5 + 1 / 0.75) / 4)
    scores = np.array([16.0, 8.0, 0.0, 0.0])
    reach = stats.norm.ppf(0.975) * np.sqrt(((scores - 6) ** 2).sum()) / 4
    assert (found["ips"].low, found["ips"].high) == pytest.approx((6 - reach, 6 + reach))
    assert support.effective_offers == pytest.approx((2 + 4) ** 2 / (2**2 + 4**2))


def test_every_method_recovers_the_truth_and_its_interval_covers_it() -> None:
    rng, hits, widths = np.random.default_rng(1), [], []
    truth = NET["mail"].mean()
    for _ in range(60):
        given = drawn(rng, 600)
        found = by_method(evaluate(given, always("mail", given), programme())[0])
        hits.append([found[method].low <= truth <= found[method].high for method in ("ips", "snips", "dr")])
        widths.append([found[method].high - found[method].low for method in ("ips", "snips", "dr")])
    low, high = stats.binom.ppf([0.0005, 0.9995], len(hits), 0.95)
    assert all(low <= count <= high for count in np.sum(hits, axis=0))
    ips, snips, dr = np.mean(widths, axis=0)
    assert dr < snips < ips


def test_what_a_policy_adds_to_sending_nothing_is_surer_than_its_value() -> None:
    given = drawn(np.random.default_rng(2), 6000)
    best = proposing(given.offers["policy_segment"].map({"high__mid": "mail", "low__mid": "control"}), programme())
    found = by_method(evaluate(given, best, programme())[0])["dr"]
    assert found.beyond_nothing_low < 0.5 < found.beyond_nothing_high
    assert found.beyond_nothing_high - found.beyond_nothing_low < found.high - found.low


def test_sending_nothing_adds_nothing() -> None:
    given = drawn(np.random.default_rng(3), 400)
    for value in evaluate(given, always("control", given), programme())[0]:
        assert (value.beyond_nothing, value.beyond_nothing_low) == pytest.approx((0, 0))


def test_segments_in_which_a_proposal_was_not_tried_are_left_out_and_told() -> None:
    given = drawn(np.random.default_rng(4), 400)
    untried = given.offers[(given.offers["policy_segment"] == "high__mid") | (given.offers["incentive_id"] != "mail")]
    partial = OfferLog(untried.reset_index(drop=True), "propensity", 0, ())
    _, support = evaluate(partial, always("mail", partial), programme(enough=20))
    assert support.untried == ("low__mid: mail",)
    valued = partial.offers[partial.offers["policy_segment"] == "high__mid"]
    assert support.net_value_made == pytest.approx(valued["net"].mean())
    assert support.supported_share == pytest.approx((partial.offers["policy_segment"] == "high__mid").mean())


def test_a_policy_nobody_tried_and_a_log_without_probabilities_are_refused() -> None:
    given = drawn(np.random.default_rng(5), 400)
    nothing = OfferLog(given.offers.assign(incentive_id="control"), "propensity", 0, ())
    with pytest.raises(RefusedError, match="nothing of what is proposed was tried: high__mid: mail"):
        evaluate(nothing, always("mail", nothing), programme())
    with pytest.raises(RefusedError, match="probabilities were logged"):
        evaluate(OfferLog(given.offers, "observational", 0, ()), always("mail", given), programme())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["mail", "control"]), st.floats(-50, 50)), min_size=4, max_size=30))
def test_the_policy_that_assigned_the_offers_is_worth_what_they_brought(rows: list[tuple[str, float]]) -> None:
    tried = [("mail", 1.0), ("control", 2.0), *rows]
    given = log([(str(n), "low__mid", arm, 0.5, net) for n, (arm, net) in enumerate(tried)])
    even = pd.DataFrame(0.5, index=given.offers.index, columns=["control", "mail"])
    for value in evaluate(given, even, programme())[0]:
        assert value.value == pytest.approx(given.offers["net"].mean())
