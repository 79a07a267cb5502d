from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from features.programme import Programme, parse_programme
from training.effects import effects_of_log, effects_of_logs
from training.offer_log import OfferLog
from training.trials import read_trials

AS_OF = pd.Timestamp("2026-03-02").to_pydatetime()
SEGMENT = "low__mid"


def programme(folder: Path, **trials: Any) -> Programme:
    catalogue = [{"id": "coupon", "name_en": "c", "name_zh": "c", "contact_cost": 0.5, "face_value": 4}]
    data = {"orders": {"path": "orders.csv"}, "trials": {"path": "trial.csv", "policy_segments": [SEGMENT], **trials}}
    given = {"name": "t", "currency": "EUR", "data": data, "incentives": catalogue}
    return parse_programme(given, folder=folder)


def trial(seed: int, *, size: int = 4000, gain: float = 0.05, **changed: Any) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    treated, lively = rng.random(size) < 0.5, rng.random(size)
    recalled = rng.random(size) < 0.05 + 0.3 * lively**3 + gain * treated
    return pd.DataFrame(
        {
            "unit_id": np.arange(size), "incentive_id": np.where(treated, "coupon", "control"),
            "recalled": recalled.astype(int), "value": 30.0 * recalled, "lively": lively,
        }
    ).assign(**changed)  # fmt: skip


def read(folder: Path, table: pd.DataFrame, **trials: Any) -> OfferLog:
    table.to_csv(folder / "trial.csv", index=False)
    (log,) = read_trials(programme(folder, **trials))
    return log


def test_a_trial_counts_as_evidence_and_agrees_with_the_difference_in_means(tmp_path: Path) -> None:
    table = trial(1)
    settings = programme(tmp_path, covariates=["lively"])
    policy = effects_of_log(read(tmp_path, table, covariates=["lively"]), settings, AS_OF)
    (effect,) = (one for one in policy.effects if one.policy_segment == SEGMENT)
    treated, control = (table.loc[table["incentive_id"] == arm, "recalled"] for arm in ("coupon", "control"))
    se = np.sqrt(treated.var() / len(treated) + control.var() / len(control))
    assert effect.recall.value == pytest.approx(treated.mean() - control.mean(), abs=se)
    assert effect.recall.se < se
    assert (policy.evidence, policy.choices[SEGMENT].incentive_id) == ("randomised", "coupon")


def test_their_names_and_ids_are_mapped_to_ours(tmp_path: Path) -> None:
    table = trial(2).rename(columns={"unit_id": "customer", "value": "spend"})
    table["incentive_id"] = table["incentive_id"].map({"coupon": "Mail A", "control": "No mail"})
    log = read(
        tmp_path, table, columns={"unit_id": "customer", "value": "spend"}, control_id="No mail",
        incentives={"coupon": "Mail A"},
    )  # fmt: skip
    assert set(log.offers["incentive_id"]) == {"coupon", "control"}


def test_where_no_cost_is_given_everybody_recalled_is_taken_to_have_redeemed(tmp_path: Path) -> None:
    offers = read(tmp_path, trial(3)).offers
    treated = offers["incentive_id"] == "coupon"
    assert offers.loc[treated, "cost"].equals(0.5 + 4 * offers.loc[treated, "recall"])
    assert (offers.loc[~treated, "cost"] == 0).all()
    assert (read(tmp_path, trial(3, cost=1.25)).offers["cost"] == 1.25).all()


def test_two_experiments_are_combined_by_inverse_variance(tmp_path: Path) -> None:
    settings = programme(tmp_path)
    small, large = (read(tmp_path, trial(seed, size=size)) for seed, size in ((4, 1000), (5, 9000)))
    one, other, both = (
        next(effect for effect in effects_of_logs(logs, settings, AS_OF).effects if effect.policy_segment == SEGMENT)
        for logs in ([small], [large], [small, large])
    )
    precision = np.array([one.recall.se, other.recall.se]) ** -2.0
    assert both.recall.value == pytest.approx(precision @ [one.recall.value, other.recall.value] / precision.sum())
    assert both.recall.se == pytest.approx(precision.sum() ** -0.5)
    assert both.n_treated == one.n_treated + other.n_treated
    assert both.recall.high - both.recall.low < other.recall.high - other.recall.low


def test_an_observational_log_does_not_spoil_a_trial(tmp_path: Path) -> None:
    log = read(tmp_path, trial(6))
    offers = log.offers.assign(recall=(log.offers["incentive_id"] == "coupon").astype(float))
    policy = effects_of_logs([OfferLog(offers, "observational", 0, ()), log], programme(tmp_path), AS_OF)
    (effect,) = (one for one in policy.effects if one.policy_segment == SEGMENT)
    assert (policy.evidence, effect.n_treated) == ("randomised", int((offers["incentive_id"] == "coupon").sum()))


def test_a_trial_may_tell_each_units_segment_and_propensity(tmp_path: Path) -> None:
    table = trial(7, policy_segment=np.where(np.arange(4000) < 1000, "high__long", "vip"), propensity=0.5)
    log = read(tmp_path, table, policy_segments=[])
    assert (set(log.offers["policy_segment"]), log.evidence) == ({"high__long"}, "propensity")
    assert log.warnings == ("trial.csv: 3000 of 4000 rows are in no policy segment; left out",)


@pytest.mark.parametrize(
    ("changed", "settings", "message"),
    [
        (
            {"recalled": 2},
            {},
            r"recalled: 4000 of 4000 values are not 0 or 1, nor true or false; the first in rows 1, 2, 3, 4, 5$",
        ),
        ({"value": None}, {}, "value: 4000 of 4000 values are missing"),
        ({"propensity": 1.0}, {}, "propensity: 4000 of 4000 values are not above 0"),
        ({}, {"policy_segments": []}, "say in `policy_segments`"),
        ({}, {"columns": {"value": "spend"}}, "no column 'spend'"),
        ({}, {"covariates": ["age"]}, "no column 'age'"),
        ({}, {"columns": {"amount": "value"}}, "columns.amount is none of"),
    ],
)
def test_a_trial_that_does_not_fit_is_refused(tmp_path: Path, changed: dict, settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, trial(8, **changed), **settings)


def test_a_missing_trial_table_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*trial.csv"):
        read_trials(programme(tmp_path))
