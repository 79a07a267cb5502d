"""docs/crm-calls.md shows every call as it is answered.

`make crm-docs` asks them anew and writes the answers into the page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pytest
from builders import AS_OF, small_bundle, small_policy, small_programme
from web import application, request

from features.programme import Eligible, Service
from serving.answers import Answers, open_answers
from serving.api import build_api
from serving.batch import score_programme
from serving.bundle_files import save_bundle, save_policy_table
from serving.contracts import ComputeErrorCode, WriteErrorCode
from serving.resolve import policy_file

FILE = Path(__file__).parents[1] / "docs" / "crm-calls.md"
REQUEST, ANSWER = r"(?:```json\n((?:(?!```).)*)```\n\n)?", r"(?=```json\n(.*?)^```)"
CALL = re.compile(rf"^```http\n(\w+) (\S+)\n```\n\n{REQUEST}{ANSWER}", re.M | re.S)
MANY = ("shap_values", "feature_values", "segments")


@contextmanager
def shop() -> Iterator[Answers]:
    """A small programme that scores everybody and has little to spend, with a week's decisions published."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        programme = small_programme(folder).model_copy(
            update={"eligible": Eligible(), "service": Service(offer_budget=30.0)}
        )
        save_bundle(small_bundle(programme), folder / "bundle")
        save_policy_table(small_policy(programme.instant(AS_OF)), policy_file(programme))
        score_programme(programme, folder / "out", as_of=AS_OF, bundle_folder=folder / "bundle")
        with closing(open_answers(programme, folder / "bundle")) as answers:
            yield answers


def ask(answers: Answers, method: str, path: str, body: str) -> Any:
    headers = {"Content-Type": "application/json", "X-Request-ID": "crm-0001"}
    return shortened(request(application(answers), method, path, content=body, headers=headers).json())


def shortened(answer: Any) -> Any:
    """Keep the first few of what has many entries."""
    if isinstance(answer, dict):
        return {
            key: shortened(dict(list(value.items())[:3]) if isinstance(value, dict) else value[:2])
            if key in MANY
            else shortened(value)
            for key, value in answer.items()
        }
    return [shortened(part) for part in answer] if isinstance(answer, list) else answer


def outline(value: Any) -> Any:
    """What must not differ between the page and a fresh answer: all but numbers, and texts with numbers in them."""
    if isinstance(value, dict):
        return {key: outline(part) for key, part in value.items()}
    if isinstance(value, list):
        return [outline(part) for part in value]
    if isinstance(value, bool) or value is None:
        return value
    return "" if isinstance(value, int | float) or re.search(r"\d", value) else value


@pytest.fixture(scope="module")
def exchanges() -> list[tuple[str, Any, Any]]:
    """Every call of the page with the answer shown and the one it gets, asked in order."""
    calls = CALL.findall(FILE.read_text(encoding="utf-8"))
    with shop() as answers:
        return [(path, json.loads(shown), ask(answers, method, path, body)) for method, path, body, shown in calls]


def test_every_call_is_answered_as_shown(exchanges):
    for path, shown, answered in exchanges:
        assert outline(answered) == outline(shown), path


def test_every_route_is_on_the_page(exchanges):
    shown = {path.partition("?")[0] for path, _, _ in exchanges}
    routes = {path for path in build_api().openapi()["paths"] if path.startswith("/v1/")}
    assert routes - shown == {"/v1/model"}


def test_every_answer_says_of_itself_what_all_do(exchanges):
    answers = [answered for _, _, answered in exchanges if "error" not in answered]
    assert len(answers) > 8
    for answer in answers:
        assert answer.keys() >= {"request_id", "model_version", "policy_version", "as_of", "computed_at"}


def test_every_item_error_is_explained():
    codes = {code for kind in (ComputeErrorCode, WriteErrorCode) for code in get_args(kind)}
    table = FILE.read_text(encoding="utf-8").split("| item error |", 1)[1].split("\n\n", 1)[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == codes


def refresh() -> None:
    """Write the page anew."""
    page = FILE.read_text(encoding="utf-8")
    with shop() as answers:
        for call in CALL.finditer(page):
            method, path, body, shown = call.groups()
            text = json.dumps(ask(answers, method, path, body or ""), ensure_ascii=False, indent=2)
            whole = call.group(0)
            page = page.replace(f"{whole}```json\n{shown}```", f"{whole}```json\n{text}\n```", 1)
    FILE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    refresh()
