"""A challenger replaces the champion only when it is not worse."""

import numpy as np
import pandas as pd
import pytest

from training import promote
from training.promote import judge_challenger


def window(members=3000, seed=0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Outcomes, and the scores of a model that knows their distribution."""
    rng = np.random.default_rng(seed)
    member_id = [f"m{row:05}" for row in range(members)]
    churn_probability = rng.beta(2.0, 2.0, members)
    value_if_active = rng.gamma(2.0, 40.0, members)
    churned = rng.random(members) < churn_probability
    value = np.where(churned, 0.0, rng.gamma(3.0, value_if_active / 3.0))
    outcomes = pd.DataFrame({"member_id": member_id, "churned": churned, "value": value})
    scores = pd.DataFrame(
        {
            "member_id": member_id,
            "churn_probability": churn_probability,
            "expected_value": (1 - churn_probability) * value_if_active,
        }
    )
    return outcomes, scores


def blurred(scores: pd.DataFrame, spread: float, seed=9) -> pd.DataFrame:
    noise = np.random.default_rng(seed).normal(0, spread, len(scores))
    odds = np.log(scores["churn_probability"] / (1 - scores["churn_probability"])) + noise
    return scores.assign(churn_probability=1 / (1 + np.exp(-odds)))


def test_the_first_model_becomes_champion():
    outcomes, scores = window()
    verdict = judge_challenger(outcomes, champion=None, challenger=scores)
    assert verdict.promote
    assert verdict.reason == "there is no champion yet"


def test_a_better_model_replaces_the_champion():
    outcomes, scores = window()
    assert judge_challenger(outcomes, champion=blurred(scores, 1.0), challenger=scores).promote


def test_an_equal_model_replaces_the_champion():
    outcomes, scores = window()
    verdict = judge_challenger(outcomes, champion=scores, challenger=scores)
    assert verdict.promote
    assert verdict.reason == "not worse in log_loss, auc, tweedie_deviance, gini on 3,000 members"


def test_a_worse_model_does_not_and_the_reason_says_where():
    outcomes, scores = window()
    verdict = judge_challenger(outcomes, champion=scores, challenger=blurred(scores, 1.0))
    assert not verdict.promote
    assert "log_loss may be worse by" in verdict.reason
    assert "gini" not in verdict.reason


def test_a_wrong_level_is_enough_to_stay_out():
    outcomes, scores = window()
    doubled = scores.assign(expected_value=2 * scores["expected_value"])
    verdict = judge_challenger(outcomes, champion=scores, challenger=doubled)
    assert [check.metric for check in verdict.checks if not check.passed] == ["tweedie_deviance"]


def test_with_few_members_an_equally_good_model_cannot_show_it():
    outcomes, scores = window()
    few = outcomes.head(60)
    assert not judge_challenger(few, champion=blurred(scores, 0.5), challenger=blurred(scores, 0.5, seed=8)).promote


def test_a_window_in_which_nobody_churned_cannot_be_judged():
    outcomes, scores = window(members=200)
    verdict = judge_challenger(outcomes.assign(churned=False), champion=scores, challenger=scores)
    assert not verdict.promote
    assert "auc cannot be judged on these members" in verdict.reason


def test_members_are_joined_by_id():
    outcomes, scores = window(members=500)
    shuffled = scores.sample(frac=1, random_state=3)
    assert judge_challenger(outcomes, champion=scores, challenger=shuffled).promote


def test_scores_that_leave_members_out_are_refused():
    outcomes, scores = window(members=50)
    with pytest.raises(ValueError, match="the challenger did not score 1 of the members compared, 'm00049' among them"):
        judge_challenger(outcomes, champion=scores, challenger=scores.head(49))


def test_a_member_listed_twice_is_refused():
    outcomes, scores = window(members=50)
    with pytest.raises(ValueError, match="scores of the champion hold a member more than once"):
        judge_challenger(outcomes, champion=pd.concat([scores, scores.head(1)]), challenger=scores)


def test_a_large_window_is_judged_on_a_part_that_is_always_the_same(monkeypatch):
    monkeypatch.setattr(promote, "COMPARED_MEMBERS", 400)
    outcomes, scores = window()
    challenger = blurred(scores, 0.3)
    verdict = judge_challenger(outcomes, champion=scores, challenger=challenger)
    shuffled = outcomes.sample(frac=1, random_state=1)
    assert verdict == judge_challenger(shuffled, champion=scores, challenger=challenger)
