"""Whatever a caller sends, the service answers with a status its OpenAPI document names, and never with a fault."""

from collections.abc import Iterator
from contextlib import closing

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from web import application

from serving.answers import open_answers

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
UNHURRIED = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True, "database": None}


@pytest.fixture(scope="module")
def described(published) -> Iterator[schemathesis.BaseSchema]:
    """The service on the small programme, open to all, by its own description."""
    with closing(open_answers(published.programme)) as answers:
        yield schemathesis.openapi.from_asgi("/openapi.json", application(answers))


schema = schemathesis.pytest.from_fixture("described")


@schema.parametrize()
@settings(max_examples=12, **UNHURRIED)
def test_what_is_sent_is_answered_as_documented(case):
    case.call_and_validate(checks=CHECKS)


@pytest.mark.long
@schema.parametrize()
@settings(max_examples=400, **UNHURRIED)
def test_much_that_is_sent_is_answered_as_documented(case):
    case.call_and_validate(checks=CHECKS)
