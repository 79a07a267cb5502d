"""The one shape of every refusal and fault, and what each status means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi.responses import JSONResponse

from serving.contracts import ErrorAnswer, ErrorBody

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
BODY_SECONDS: Final = 10.0
"""How long a body may take to arrive."""

LONGEST_CALL_SECONDS: Final = 60.0

STORE_AWAY: Final = "the store cannot be read or written just now; ask again"
"""All that callers are told; where it is, and what is wrong with it, is for the log."""

CODES: Final[Mapping[int, str]] = {
    400: "malformed", 401: "unauthorised", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
    408: "too_slow", 409: "refused", 413: "too_large", 415: "unsupported_media_type", 422: "invalid",
    429: "too_many_requests", 500: "internal", 503: "not_ready", 504: "timed_out",
}  # fmt: skip
MEANINGS: Final[Mapping[int, str]] = {
    400: "the body is not JSON, or names something twice in one object",
    401: "no key, or one that does not hold",
    403: "the key's scopes do not reach so far",
    404: "there is no such path",
    405: "the path takes another method, which the header Allow names",
    408: f"the body took longer than {BODY_SECONDS:.0f} seconds to arrive",
    409: "the model was trained on data from after as_of",
    413: f"the body is larger than {MAX_BODY_BYTES} bytes",
    415: "the content type is not application/json, or the body is compressed",
    422: "the body does not fit the contract",
    429: "the key asks more often than it may; Retry-After says in how many seconds to ask again",
    500: "our fault",
    503: "nothing is published yet, or the store or what computes cannot be reached; ask again",
    504: f"the call took longer than {LONGEST_CALL_SECONDS:.0f} seconds",
}


def failure(
    request_id: str,
    status: int,
    message: str,
    *,
    code: str | None = None,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return an answer of the one error shape; the code follows from the status unless it is given."""
    body = ErrorBody(code=code or CODES.get(status, "error"), message=message, field=field, request_id=request_id)
    return JSONResponse(ErrorAnswer(error=body).model_dump(), status_code=status, headers=headers)


def fault(request_id: str) -> JSONResponse:
    """Return the answer to a call that failed by our fault; the log says how."""
    return failure(request_id, 500, "something went wrong on our side; report it with the request_id")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe statuses for OpenAPI."""
    return {status: {"description": MEANINGS[status], "model": ErrorAnswer} for status in statuses}
