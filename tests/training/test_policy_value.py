import json

import numpy as np
import pytest
from builders import AS_OF, small_frames, small_policy, small_programme

from features.errors import InputError, RefusedError
from serving.bundle_files import save_policy_table
from serving.resolve import policy_file
from training.policy_value import CHOSEN_BY_THEM, policy_value


@pytest.fixture(scope="module")
def programme(tmp_path_factory):
    """A programme that drew lots between points and nothing, in one segment."""
    frames = small_frames(members=60)
    offers = frames["offers"]
    arms = np.where(np.arange(len(offers)) % 2, "points_x3", "control")
    drawn = offers.assign(incentive_id=arms, propensity=0.5, policy_segment="low__mid")
    shop = small_programme(tmp_path_factory.mktemp("shop"), {**frames, "offers": drawn})
    few = shop.guardrails.model_copy(update={"min_treated": 1, "min_control": 1})
    save_policy_table(small_policy(shop.instant(AS_OF)), policy_file(shop))
    return shop.model_copy(update={"guardrails": few})


def test_the_current_policy_is_valued_on_the_offers_on_record(programme):
    current = policy_value(programme, None, step=str)
    assert [row["method"] for row in current.record["values"]] == ["ips", "snips", "dr"]
    assert current.record["policy"].startswith("policy ")
    assert CHOSEN_BY_THEM in current.warnings
    json.dumps(current.record, allow_nan=False)


def test_sending_nothing_can_be_valued_too(programme):
    nothing = policy_value(programme, None, always="control", step=str)
    assert nothing.record["policy"] == "always control"
    assert [row["beyond_nothing"] for row in nothing.record["values"]] == pytest.approx([0, 0, 0])


def test_an_unknown_incentive_is_refused_by_name(programme):
    with pytest.raises(InputError, match="'gift' is no incentive of the programme; known: control"):
        policy_value(programme, None, always="gift", step=str)


def test_without_offers_there_is_nothing_to_value_a_policy_on(programme):
    with pytest.raises(RefusedError, match="probabilities were logged"):
        policy_value(programme, None, since="2030-01-01", step=str)
