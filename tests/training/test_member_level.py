from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.programme import Programme, parse_programme
from serving.policy_table import Evidence
from training.member_level import MemberLevel, member_levels
from training.offer_log import OfferLog

MEMBERS = 12_000


@pytest.fixture(scope="module")
def programme() -> Programme:
    catalogue = [{"id": id_, "name_en": id_, "name_zh": id_} for id_ in ("mail", "gift")]
    data = {"orders": {"path": "orders.csv"}}
    return parse_programme({"name": "t", "currency": "EUR", "incentives": catalogue, "data": data})


def log(evidence: Evidence = "randomised", *, by_member: float = 0.0, by_segment: float = 0.0) -> OfferLog:
    """Draw offers of a mail that moves lively members by so much, or members of one segment."""
    rng = np.random.default_rng(2)
    lively, segment = rng.normal(size=MEMBERS), rng.choice(["low__mid", "high__mid"], MEMBERS)
    arm = np.where(rng.random(MEMBERS) < 0.5, "mail", "control")
    moved = by_member * (lively > 0) + by_segment * (segment == "high__mid")
    offers = pd.DataFrame(
        {
            "member_id": np.arange(MEMBERS).astype(str), "incentive_id": arm, "policy_segment": segment,
            "propensity": 0.5, "recall": (rng.random(MEMBERS) < 0.1 + moved * (arm == "mail")).astype(float),
            "lively": lively,
        }
    )  # fmt: skip
    return OfferLog(offers, evidence, 0, (), ("lively",))


def test_members_who_are_moved_more_than_others_of_their_segment_are_told(programme: Programme) -> None:
    (mail,) = member_levels({"offer log": log(by_member=0.2)}, programme)
    assert (mail.source, mail.incentive_id, mail.treated + mail.control) == ("offer log", "mail", MEMBERS)
    assert mail.differs
    assert 0 < mail.qini_low < mail.qini < mail.qini_high
    assert "more than others" in str(mail)


def test_what_differs_between_segments_only_leaves_the_segment_level_as_it_stands(programme: Programme) -> None:
    (mail,) = member_levels({"offer log": log(by_segment=0.2)}, programme)
    assert not mail.differs
    assert mail.qini_low <= 0
    assert "the segment level stands" in str(mail)


@pytest.mark.parametrize("unfit", [log("observational"), replace(log(), covariates=())])
def test_without_odds_or_anything_known_of_members_nothing_is_said(unfit: OfferLog, programme: Programme) -> None:
    told: list[MemberLevel] = list(member_levels({"offer log": unfit}, programme))
    assert told == []
