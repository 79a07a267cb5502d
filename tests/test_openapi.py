"""Whatever a caller sends, the service answers with a status its OpenAPI document names, and never with a fault."""

from collections.abc import Iterator
from contextlib import closing

import pytest
import schemathesis
from builders import AS_OF, small_programme
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from web import application

from serving.answers import open_answers
from serving.api import build_api
from serving.batch import score_programme
from serving.bundle_files import save_bundle, save_policy_table
from serving.resolve import policy_file

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = [(path, method) for path, methods in build_api().openapi()["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def described(shop, tmp_path_factory) -> Iterator[schemathesis.BaseSchema]:
    """A service of its own, which may be written to, open to all, by its own description."""
    programme = small_programme(tmp_path_factory.mktemp("described"), shop.frames)
    folder = programme.path("bundle")
    save_bundle(shop.bundle, folder)
    save_policy_table(shop.policy_table, policy_file(programme))
    score_programme(programme, programme.path("out"), as_of=AS_OF, bundle_folder=folder)
    with closing(open_answers(programme, folder)) as answers:
        yield schemathesis.openapi.from_asgi("/openapi.json", application(answers))


def send(described, path: str, method: str, *, examples: int) -> None:
    """Send what fits the description, and what does not, and check every answer."""
    fitting = described[path][method].as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE)
    unfit = described[path][method].as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
    unhurried = settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
    )

    @unhurried
    @given(case=fitting | unfit if method == "post" else fitting)
    def answered_as_documented(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    answered_as_documented()


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_what_is_sent_is_answered_as_documented(described, path, method):
    send(described, path, method, examples=8 if method == "post" else 2)


@pytest.mark.long
@pytest.mark.parametrize(("path", "method"), [each for each in OPERATIONS if each[1] == "post"])
def test_much_that_is_sent_is_answered_as_documented(described, path, method):
    send(described, path, method, examples=500)
