"""docs/crm.md says what the contracts say, and its questions are answered as it shows."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from pydantic import BaseModel

from features.programme import State, Tier
from serving import contracts
from serving.answers import open_answers
from serving.api import MAX_BODY_BYTES, build_api
from serving.bundle import Evidence
from serving.contracts import ErrorAnswer, ItemErrorCode, ModelAnswer, ScoreAnswer, ScoreRequest
from serving.records import AssignedBy, DecisionRecord, NoOfferReason, Reason

pytestmark = pytest.mark.xdist_group("service")

PAGE = (Path(__file__).parents[1] / "docs" / "crm.md").read_text(encoding="utf-8")
SIGNS = {"error": ErrorAnswer, "results": ScoreAnswer, "programme": ModelAnswer}
BLOCKS = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
STATUSES = {code: int(status) for status, code in re.findall(r"^\| (\d{3}) \| `(\w+)` \|", PAGE, re.MULTILINE)}


def parsed(block: str) -> BaseModel:
    """Read a JSON block as the contract its keys are the sign of."""
    keys = set(json.loads(block))
    return next((model for sign, model in SIGNS.items() if sign in keys), ScoreRequest).model_validate_json(block)


def answers_shown() -> list[BaseModel]:
    return [parsed(block) for block in BLOCKS]


def exchanges() -> Iterator[tuple[dict[str, Any], BaseModel]]:
    """Yield each request on the page with the answer that follows it."""
    for asked, answered in pairwise(BLOCKS):
        if isinstance(parsed(asked), ScoreRequest):
            yield json.loads(asked), parsed(answered)


def first_cells(heading: str) -> set[str]:
    """Return the code words in the first column of the table whose heading begins so."""
    table = PAGE.split(f"\n\n| {heading} |", 1)[1].split("\n\n", 1)[0]
    return {word for line in table.splitlines()[2:] for word in re.findall(r"`(\w+)`", line.split("|")[1])}


def outcome(item: Any) -> tuple[str, ...]:
    """Return what must not differ between the page and a fresh answer: all but numbers, versions and sentences."""
    if isinstance(item, contracts.FailedItem):
        return (item.member_id, item.error.code)
    decision = item.decision
    return (item.member_id, decision.as_of, decision.state, decision.tier, str(decision.no_offer_reason))


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_example_fits_the_contract(number):
    parsed(BLOCKS[number])


def test_there_is_an_example_of_every_item_error():
    shown = {
        item.error.code
        for answer in answers_shown()
        if isinstance(answer, ScoreAnswer)
        for item in answer.results
        if isinstance(item, contracts.FailedItem)
    }
    assert shown == set(get_args(ItemErrorCode)) == first_cells("item error")


def test_there_is_an_example_of_every_error_status():
    described = build_api().openapi()["paths"]["/v1/score"]["post"]["responses"]
    assert {int(status) for status in described if int(status) >= 400} <= set(STATUSES.values())
    shown = {answer.error.code for answer in answers_shown() if isinstance(answer, ErrorAnswer)}
    assert shown == set(STATUSES)


def test_every_field_of_a_decision_is_explained():
    explained = {word for row in PAGE.splitlines() if row.startswith("| `") for word in re.findall(r"`(\w+)`", row)}
    assert set(DecisionRecord.model_fields) <= explained
    assert set(Reason.model_fields) <= explained


@pytest.mark.parametrize("words", [NoOfferReason, AssignedBy, Evidence, State, Tier])
def test_every_word_of_a_vocabulary_is_on_the_page(words):
    assert [word for word in get_args(words) if f"`{word}`" not in PAGE] == []


def test_no_reason_is_explained_that_is_not_given():
    assert first_cells("`no_offer_reason`") == set(get_args(NoOfferReason))


def test_the_limits_are_those_of_the_contract():
    limits = (MAX_BODY_BYTES, contracts.MAX_ITEMS, contracts.MAX_ROWS)
    assert [limit for limit in limits if f"| {limit:,}" not in PAGE] == []
    assert f"from {contracts.EARLIEST.date()}, before {contracts.LATEST.date()}" in PAGE


def test_its_questions_are_answered_as_shown(published):
    app = build_api()
    app.state.answers = open_answers(published.programme)

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://winback") as client:
            return [await client.post("/v1/score", json=question) for question, _ in exchanges()]

    responses = asyncio.run(ask())
    app.state.answers.close()
    assert len(responses) >= 3
    for response, (_, shown) in zip(responses, exchanges(), strict=True):
        if isinstance(shown, ErrorAnswer):
            assert response.status_code == STATUSES[shown.error.code], response.text
        else:
            answer = ScoreAnswer.model_validate(response.json())
            assert [outcome(item) for item in answer.results] == [outcome(item) for item in shown.results]
