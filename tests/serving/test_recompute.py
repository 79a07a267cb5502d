"""What came in since the publication moves a member's next answer; nobody else's."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from builders import AS_OF, small_programme

from features.build import build_features
from features.catalogue import feature_names
from features.programme import Eligible, Service
from features.sources import load_tables
from serving.answers import open_answers
from serving.batch import score_programme
from serving.bundle_files import save_bundle, save_policy_table
from serving.contracts import ExplainRequest, FailedItem, Features, RecommendRequest, ScoreRequest
from serving.known import decide_known
from serving.ledger_contracts import NewEvent, NewOffer, NewOrder, NewOutcome
from serving.ledger_writing import catch_up, watch, write_activity, write_offers, write_outcomes
from serving.lookup import iso, utc_now
from serving.reasons import contributions
from serving.resolve import policy_file

MOMENT = timedelta(seconds=1)


def now() -> str:
    return datetime.now(UTC).isoformat()


def order(identifier: str, member_id: str, **changed) -> NewOrder:
    row = {"order_id": identifier, "member_id": member_id, "ordered_at": now(), "net_amount": 80.0, **changed}
    return NewOrder.model_validate(row)


def visit(identifier: str, member_id: str, **changed) -> NewEvent:
    row = {"event_id": identifier, "member_id": member_id, "occurred_at": now(), "event": "visit", **changed}
    return NewEvent.model_validate(row)


def statuses(items) -> list[str]:
    return [getattr(item, "status", None) or item.error.code for item in items]


@pytest.fixture(scope="module")
def answers(shop, tmp_path_factory):
    """A shop that scores everybody, with a week's decisions published."""
    folder = tmp_path_factory.mktemp("since")
    programme = small_programme(folder, shop.frames).model_copy(
        update={"eligible": Eligible(), "service": Service(alert_threshold=0.7, offer_budget=60.0)}
    )
    save_bundle(shop.bundle, folder / "bundle")
    save_policy_table(shop.policy_table, policy_file(programme))
    score_programme(programme, folder / "out", as_of=AS_OF, bundle_folder=folder / "bundle")
    with closing(open_answers(programme, folder / "bundle")) as opened:
        yield opened


@pytest.fixture(scope="module")
def by_risk(answers, shop) -> list[str]:
    """Members by their churn probability as published, the lowest first."""
    records = answers.published(shop.member_ids)[1]
    return sorted(records, key=lambda name: records[name].churn_probability)


def scored(answers, *member_ids, **options) -> list:
    request = ScoreRequest.model_validate({"member_ids": list(member_ids), **options})
    return answers.score(request, request_id="test").results


def test_members_brought_up_to_date_as_of_the_publication_are_those_published(answers, shop):
    published = answers.published(shop.member_ids)[1]
    known = answers.up_to_date(shop.member_ids, answers.programme.instant(AS_OF))
    assert decide_known(known, answers.bundle, answers.policy_table, answers.programme, None) == published


def test_an_order_moves_the_next_score_of_its_member_only(answers, by_risk):
    member, other = by_risk[-1], by_risk[-2]
    before, of_other = scored(answers, member, other)
    assert (before.source, of_other.source) == ("published", "published")
    written, _ = write_activity(answers, [order("new-1", member)], [])
    assert statuses(written) == ["recorded"]
    after, still = scored(answers, member, other)
    assert still == of_other
    assert after.source == "recomputed"
    assert after.computed_at > before.computed_at
    assert after.decision.churn_probability < before.decision.churn_probability
    assert after.decision.historic_value == pytest.approx(before.decision.historic_value + 80.0 * 0.4)


def test_sent_again_it_changes_nothing_and_with_other_content_it_is_a_conflict(answers, by_risk):
    row = order("new-2", by_risk[-3])
    assert statuses(write_activity(answers, [row], [])[0]) == ["recorded"]
    value = scored(answers, by_risk[-3])[0].decision.historic_value
    changed = row.model_copy(update={"net_amount": 81.0})
    assert statuses(write_activity(answers, [row, changed], [])[0]) == ["known", "conflict"]
    assert scored(answers, by_risk[-3])[0].decision.historic_value == value


def test_what_lies_in_the_future_is_refused_and_the_rest_written_down(answers, by_risk):
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    orders, events = write_activity(
        answers, [order("new-3", by_risk[-4], ordered_at=later)], [visit("visit-1", by_risk[-4])]
    )
    assert (statuses(orders), statuses(events)) == (["in_future"], ["recorded"])


def test_a_stranger_in_a_programme_with_members_is_none_after_an_order_either(answers):
    write_activity(answers, [order("new-4", "stranger")], [])
    assert scored(answers, "stranger")[0].error.code == "unknown_member"


def test_an_alert_is_raised_once_when_a_risk_rises_to_the_threshold(answers, by_risk):
    member = by_risk[0]
    write_activity(answers, [], [visit("visit-2", member)])
    raised = watch(answers, {member})
    assert [alert.member_id for alert in raised] == [member]
    assert raised[0].before < raised[0].threshold == 0.7 <= raised[0].churn_probability
    assert raised[0].churn_probability == scored(answers, member)[0].decision.churn_probability
    assert watch(answers, {member}) == []
    assert raised[0] in answers.alerts.after(raised[0].number - 1, 10)
    assert raised[0] not in answers.alerts.after(raised[0].number, 10)


def test_alerts_of_rows_whose_process_died_before_scoring_come_when_asked_for(answers, by_risk):
    member = by_risk[1]
    write_activity(answers, [], [visit("visit-3", member)])
    assert member not in {alert.member_id for alert in answers.alerts.after(0, 1_000)}
    catch_up(answers)
    assert [alert.member_id for alert in answers.alerts.after(0, 1_000)].count(member) == 1
    catch_up(answers)
    assert [alert.member_id for alert in answers.alerts.after(0, 1_000)].count(member) == 1


def test_an_offer_reserves_budget_and_starts_the_cooldown(answers, by_risk):
    def offer(identifier: str, incentive: str, **changed) -> NewOffer:
        row = {"offer_id": identifier, "member_id": by_risk[-5], "incentive_id": incentive, "assigned_at": now()}
        return NewOffer.model_validate({**row, **changed})

    offers = [
        offer("x-1", "coupon_20"),
        offer("x-2", "coupon_20", cost_amount=45.0),
        offer("x-3", "control"),
        offer("x-4", "gold_watch"),
    ]
    assert statuses(write_offers(answers, offers)) == ["recorded", "budget", "recorded", "unknown_incentive"]
    assert statuses(write_offers(answers, offers[:1])) == ["known"]
    assert scored(answers, by_risk[-5])[0].decision.no_offer_reason == "cooldown"
    redeemed = [
        NewOutcome.model_validate({"outcome_id": "r-1", "offer_id": name, "redeemed_at": now()})
        for name in ("x-1", "x-2")
    ]
    assert statuses(write_outcomes(answers, redeemed)) == ["recorded", "unknown_offer"]
    known = answers.up_to_date([by_risk[-5]], utc_now() + MOMENT)
    assert known.parts[0].features["offer_redemption_share"].item() > 0


def test_a_share_of_the_order_reserves_what_was_decided_and_without_a_decision_asks(answers, by_risk):
    by_share = tuple(one.model_copy(update={"face_share": 0.1}) for one in answers.programme.incentives)
    records = answers.published(by_risk)[1]
    member = next(name for name in by_risk[15:-8] if records[name].assigned_incentive)
    row = {"incentive_id": records[member].assigned_incentive, "assigned_at": now()}
    asked = [
        NewOffer.model_validate({"offer_id": f"s-{name}", "member_id": name, **row}) for name in (member, "nobody")
    ]

    def written(offer_budget: float | None) -> list[str]:
        changed = {"incentives": by_share, "service": Service(offer_budget=offer_budget)}
        return statuses(write_offers(replace(answers, programme=answers.programme.model_copy(update=changed)), asked))

    assert records[member].assigned_cost > 0
    assert written(0.99 * records[member].assigned_cost) == ["budget", "unknown_cost"]
    assert written(1e6) == ["recorded", "unknown_cost"]
    assert written(None) == ["known", "recorded"]


def test_the_next_weekly_run_has_what_came_in_and_scores_by_id_are_published_again(shop, tmp_path, monkeypatch):
    monkeypatch.setattr("serving.lookup.SETTLING", timedelta(0))
    programme = small_programme(tmp_path, shop.frames).model_copy(update={"eligible": Eligible()})
    save_bundle(shop.bundle, tmp_path / "bundle")
    save_policy_table(shop.policy_table, policy_file(programme))
    run = {"bundle_folder": tmp_path / "bundle"}
    score_programme(programme, tmp_path / "out", as_of=AS_OF, **run)
    member = shop.member_ids[0]
    lines = [{"product_id": "p1", "category": "c1"}]
    with closing(open_answers(programme, tmp_path / "bundle")) as answers:
        in_tables = shop.frames["orders"].iloc[0]
        again = order(in_tables["order_id"], in_tables["member_id"])
        write_activity(answers, [order("new-1", member, lines=lines), again], [visit("visit-1", member)])
        recomputed = scored(answers, member)[0]
        tomorrow = programme.local_date(utc_now()) + timedelta(days=1)
        score_programme(programme, tmp_path / "out", as_of=tomorrow, **run)
        published = scored(answers, member)[0]
    assert (recomputed.source, published.source) == ("recomputed", "published")
    before = shop.frames["orders"].query("member_id == @member")["net_amount"].sum()
    assert published.decision.historic_value == pytest.approx((before + 80.0) * 0.4)
    assert recomputed.decision.historic_value == published.decision.historic_value


@pytest.mark.parametrize(("language", "absent"), [("en", "zh"), ("zh", "en")])
def test_reasons_come_in_the_language_and_number_asked_for(answers, by_risk, language, absent):
    item = scored(answers, by_risk[5], reasons=2, language=language)[0]
    assert len(item.decision.reasons) == 2
    assert {getattr(reason, absent) for reason in item.decision.reasons} == {None}
    assert all(getattr(reason, language) for reason in item.decision.reasons)


def test_more_reasons_than_published_are_worked_out_anew_and_begin_with_the_published(answers, by_risk):
    few, many = scored(answers, by_risk[6])[0], scored(answers, by_risk[6], reasons=10)[0]
    assert (few.source, many.source) == ("published", "recomputed")
    assert many.decision.reasons[:3] == few.decision.reasons
    assert len(many.decision.reasons) > 3
    assert many.decision.model_copy(update={"reasons": few.decision.reasons}) == few.decision
    assert scored(answers, by_risk[6], reasons=0)[0].decision.reasons == []


def test_features_are_scored_as_the_tables_they_come_from(answers, by_risk):
    programme = answers.programme
    tables = load_tables(programme, threads=1).tables
    table = build_features(tables, programme.instant(AS_OF), programme).set_index("member_id")
    names = feature_names(programme.windows)

    def row(member: str) -> dict:
        values = table.loc[member, names]
        return {name: None if np.isnan(value) else float(value) for name, value in values.items()}

    member = by_risk[7]
    features = [
        {"member_id": member, "values": row(member)},
        {"member_id": "short", "values": {"recency_days": 1.0}},
        {"member_id": member, "values": row(member)},
    ]
    request = ScoreRequest.model_validate({"features": features, "as_of": AS_OF})
    first, short, again = answers.score(request, request_id="test").results
    published = answers.published([member])[1][member]
    assert (short.error.code, again.error.code) == ("invalid_features", "duplicate_member")
    assert first.source == "computed"
    assert (first.decision.churn_probability, first.decision.reasons) == (
        published.churn_probability,
        published.reasons,
    )
    assert first.decision.recommended_incentive is None


def test_an_explanation_adds_up_to_the_log_odds_of_the_model(answers, by_risk):
    member = by_risk[8]
    request = ExplainRequest.model_validate({"member_ids": [member, "nobody"]})
    explained, nobody = answers.explain(request, request_id="test").results
    assert nobody.error.code == "unknown_member"
    assert explained.base + sum(explained.shap_values.values()) == pytest.approx(explained.log_odds)
    assert explained.churn_probability == answers.published([member])[1][member].churn_probability
    known = answers.up_to_date([member], answers.programme.instant(AS_OF))
    moved = contributions(known.parts[0].features, answers.bundle)
    total = pd.Series(moved.shap[0]).groupby(list(moved.columns)).sum()
    assert explained.shap_values == pytest.approx(total.to_dict())


def test_a_recommendation_says_why_and_why_not(answers, shop):
    request = RecommendRequest.model_validate({"member_ids": [*shop.member_ids, "nobody"]})
    *items, nobody = answers.recommend(request, request_id="test").results
    assert isinstance(nobody, FailedItem)
    assert {item.no_offer_reason for item in items} > {None, "consent"}
    for item in items:
        assert item.why_en
        assert item.why_zh
        assert [found.incentive_id for found in item.considered] == (["points_x3"] if item.policy_segment else [])


def test_the_policy_is_shown_as_it_is_served(answers):
    told = answers.segments(request_id="test")
    assert {item.policy_segment: item.incentive_id for item in told.segments} == {
        segment: choice.incentive_id for segment, choice in answers.policy_table.choices.items()
    }
    assert {found.verdict for item in told.segments for found in item.considered} == {"effective"}


def test_paused_nothing_is_recommended_at_once_and_scores_go_on(answers, by_risk):
    member = by_risk[9]
    request = RecommendRequest.model_validate({"member_ids": [member]})
    before = scored(answers, member)[0].decision
    answers.switch.pause("wrong prices")
    try:
        item, advice = scored(answers, member)[0], answers.recommend(request, request_id="test").results[0]
        told, model = answers.segments(request_id="test"), answers.model(request_id="test")
    finally:
        answers.switch.resume()
    assert (item.decision.no_offer_reason, item.decision.assigned_incentive) == ("paused", None)
    assert item.decision.churn_probability == before.churn_probability
    assert (advice.no_offer_reason, advice.recommended_incentive) == ("paused", None)
    assert (told.paused, {part.incentive_id for part in told.segments}) == (True, {None})
    assert model.pause_reason == "wrong prices"
    assert scored(answers, member)[0].decision == before


def test_a_clock_that_is_ahead_keeps_nobody_from_being_scored(answers, by_risk):
    member = by_risk[-7]
    ahead = iso(utc_now() + timedelta(minutes=2))
    (written,), _ = write_activity(answers, [order("ahead", member, ordered_at=ahead)], [])
    found = scored(answers, member)[0]
    assert (written.status, found.source) == ("recorded", "recomputed")
    assert found.decision.history_level != "no_order"


def test_where_the_model_has_seen_later_answers_are_as_of_now_and_name_their_versions(answers, by_risk):
    later = answers.bundle.model_copy(update={"trained_until": utc_now() - timedelta(days=1)})
    newer = replace(answers, bundle=later)
    request = ExplainRequest(member_ids=[by_risk[0]])
    explained = newer.explain(request, request_id="x")
    assert explained.model_version == answers.bundle.version
    assert explained.results[0].model_version == later.version
    assert newer.as_of(None) > later.trained_until
    assert answers.as_of(None) == answers.programme.instant(AS_OF)


def test_features_without_sense_are_errors_of_their_items_only(answers, by_risk):
    known = answers.up_to_date(by_risk[:2], answers.programme.instant(AS_OF))
    [part] = known.parts
    rows = [
        {name: None if value != value else value for name, value in row.items()}
        for row in part.features.drop(columns=["member_id", "as_of"]).to_dict("records")
    ]
    rows[1]["value_total"] = None
    sent = [Features(member_id=f"f{number}", values=row) for number, row in enumerate(rows)]
    for answer in (
        answers.score(ScoreRequest(features=sent), request_id="x"),
        answers.explain(ExplainRequest(features=sent), request_id="x"),
    ):
        sensible, senseless = answer.results
        assert sensible.source == "computed"
        assert senseless.error.code == "invalid_features"
