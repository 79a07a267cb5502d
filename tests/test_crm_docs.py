"""docs/crm.md says what the contracts say, and its questions are answered as it shows.

`make crm-docs` asks them anew and writes the answers into the page, for a change of the contracts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import httpx
import pytest
from builders import AS_OF, small_bundle, small_policy, small_programme
from pydantic import BaseModel
from web import application, request

from features.settings import State, Tier
from serving import contracts, rows
from serving.answers import Answers, open_answers
from serving.api import build_api
from serving.batch import score_programme
from serving.bundle_files import save_bundle, save_policy_table
from serving.contracts import ErrorAnswer, ItemErrorCode, ModelAnswer, ScoreAnswer, ScoreRequest
from serving.failures import MAX_BODY_BYTES
from serving.history import HistoryLevel
from serving.policy_table import Evidence
from serving.records import AssignedBy, DecisionRecord, NoOfferReason, Reason
from serving.resolve import policy_file

FILE = Path(__file__).parents[1] / "docs" / "crm.md"
PAGE = FILE.read_text(encoding="utf-8")
SIGNS = {"error": ErrorAnswer, "results": ScoreAnswer, "programme": ModelAnswer}
BLOCKS = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
STATUSES = {code: int(status) for status, code in re.findall(r"^\| (\d{3}) \| `(\w+)` \|", PAGE, re.MULTILINE)}


def contract(block: str) -> type[BaseModel]:
    """Tell which contract a JSON block is an example of, by its keys."""
    keys = set(json.loads(block))
    return next((model for sign, model in SIGNS.items() if sign in keys), ScoreRequest)


def parsed(block: str) -> Any:
    return contract(block).model_validate_json(block)


def answers_shown() -> list[Any]:
    return [parsed(block) for block in BLOCKS]


def exchanges() -> Iterator[tuple[str, str]]:
    """Yield each request on the page with the answer that follows it."""
    return ((asked, answered) for asked, answered in pairwise(BLOCKS) if contract(asked) is ScoreRequest)


def ask(answers: Answers, method: str, path: str, question: str, request_id: str) -> httpx.Response:
    """Ask the application, without a network."""
    headers = {"Content-Type": "application/json", "X-Request-ID": request_id}
    return request(application(answers), method, path, content=question, headers=headers)


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


@pytest.mark.parametrize("words", [NoOfferReason, AssignedBy, Evidence, HistoryLevel, State, Tier])
def test_every_word_of_a_vocabulary_is_on_the_page(words):
    assert [word for word in get_args(words) if f"`{word}`" not in PAGE] == []


def test_no_reason_is_explained_that_is_not_given():
    assert first_cells("`no_offer_reason`") == set(get_args(NoOfferReason))


def test_the_limits_are_those_of_the_contract():
    limits = (MAX_BODY_BYTES, contracts.MAX_ITEMS, rows.MAX_ROWS)
    assert [limit for limit in limits if f"| {limit:,}" not in PAGE] == []
    assert f"from {rows.EARLIEST.date()}, before {rows.LATEST.date()}" in PAGE


def test_its_questions_are_answered_as_shown(published):
    with closing(open_answers(published.programme)) as answers:
        responses = [ask(answers, "POST", "/v1/score", question, "test") for question, _ in exchanges()]
    assert len(responses) >= 3
    for response, (_, block) in zip(responses, exchanges(), strict=True):
        shown = parsed(block)
        if isinstance(shown, ErrorAnswer):
            assert response.status_code == STATUSES[shown.error.code], response.text
        else:
            answer = ScoreAnswer.model_validate(response.json())
            assert [outcome(item) for item in answer.results] == [outcome(item) for item in shown.results]


def refreshed(answers: Answers) -> str:
    """Return the page with the answers it would get now."""
    page = PAGE
    exchanged = [("POST", "/v1/score", asked, answered) for asked, answered in exchanges()]
    models = [("GET", "/v1/model", "", block) for block in BLOCKS if contract(block) is ModelAnswer]
    for method, path, asked, answered in (*exchanged, *models):
        before = json.loads(answered)
        request_id = before["error"]["request_id"] if "error" in before else before["request_id"]
        now = ask(answers, method, path, asked, request_id).json()
        if path == "/v1/model":
            now["feature_names"] = now["feature_names"][:3]
        text = json.dumps(now, ensure_ascii=False, indent=2 if answered.count("\n") > 1 else None)
        page = page.replace(answered, f"{text}\n", 1)
    return page


def refresh() -> None:
    """Write the page anew, from a small programme made for it."""
    with TemporaryDirectory() as folder:
        programme = small_programme(Path(folder))
        bundle_folder = programme.path("bundle")
        save_bundle(small_bundle(programme), bundle_folder)
        save_policy_table(small_policy(programme.instant(AS_OF)), policy_file(programme))
        score_programme(programme, programme.path("out"), as_of=AS_OF, bundle_folder=bundle_folder)
        with closing(open_answers(programme, bundle_folder)) as answers:
            FILE.write_text(refreshed(answers), encoding="utf-8")


if __name__ == "__main__":
    refresh()
