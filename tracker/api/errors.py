"""Every error of the API, in the vendor's shapes (upstream 1.1, "Errors"): a client that handles theirs handles ours."""

from __future__ import annotations

from typing import Any

import asyncpg
import structlog
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException, ValidationException

from tracker.access.limits import TooOften
from tracker.management.errors import Invalid, Refused

log = structlog.get_logger()


def _answer(status: int, body: dict[str, Any]) -> Response[dict[str, Any]]:
    return Response(body, status_code=status, media_type=MediaType.JSON)


def refused(_: Request[Any, Any, Any], error: Refused) -> Response[dict[str, Any]]:
    """A refusal with its code and reason."""
    answer = _answer(error.status, {"error": error.code, "message": error.message})
    if isinstance(error, TooOften):
        answer.headers["Retry-After"] = str(error.wait_seconds)
    return answer


def invalid(_: Request[Any, Any, Any], error: Invalid) -> Response[dict[str, Any]]:
    """The vendor's validation error."""
    first = next(iter(error.errors.values()))[0]
    return _answer(
        422,
        {
            "error": "VALIDATION_ERROR",
            "message": first,
            "description": "The request parameters failed validation.",
            "errors": error.errors,
        },
    )


def bad_request(request: Request[Any, Any, Any], error: ValidationException) -> Response[dict[str, Any]]:
    """Litestar's own validation of types and unknown fields, in the same shape."""
    fields: dict[str, list[str]] = {}
    for entry in error.extra or ():
        if isinstance(entry, dict):
            fields.setdefault(_as_sent(request, str(entry.get("key", "body"))), []).append(
                str(entry.get("message", "is not valid"))
            )
    return invalid(request, Invalid(fields or {"body": [error.detail]}))


def _as_sent(request: Request[Any, Any, Any], name: str) -> str:
    """A parameter's name in the query, where that is not the handler's own word for it."""
    handler = request.scope.get("route_handler")
    field = None if handler is None else handler.parsed_fn_signature.parameters.get(name)
    return getattr(field.kwarg_definition, "name", None) or name if field is not None else name


def http_error(_: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    """Routing errors, malformed JSON, bodies too large."""
    codes = {400: "BAD_REQUEST", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "BODY_TOO_LARGE"}
    code = codes.get(error.status_code, "BAD_REQUEST" if error.status_code < 500 else "SERVER_ERROR")
    return _answer(error.status_code, {"error": code, "message": error.detail})


def too_deep(request: Request[Any, Any, Any], error: RecursionError) -> Response[dict[str, Any]]:
    """JSON nested deeper than the parser goes: nothing we take is."""
    return _answer(400, {"error": "BAD_REQUEST", "message": "The JSON body is nested too deeply."})


def not_storable(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """Text no database column takes, such as NUL or half a surrogate pair, wherever it came in."""
    return _answer(
        400, {"error": "BAD_REQUEST", "message": "A value holds characters or a number that cannot be stored."}
    )


def store_away(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """A store is down: 503 with a Retry-After, so that a caller (a provider's webhook too) tries again."""
    log.warning("api.store_away", path=request.url.path, error=type(error).__name__)
    answer = _answer(503, {"error": "UNAVAILABLE", "message": "A store is away; try again in a few seconds."})
    answer.headers["Retry-After"] = "5"
    return answer


def unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """A defect of ours: logged whole, answered without details."""
    log.exception("api.defect", path=request.url.path, error=repr(error))
    return _answer(500, {"error": "SERVER_ERROR", "message": "Something went wrong here; it has been logged."})


HANDLERS: dict[Any, Any] = {
    Refused: refused,
    Invalid: invalid,
    ValidationException: bad_request,
    HTTPException: http_error,
    RecursionError: too_deep,
    asyncpg.DataError: not_storable,
    UnicodeEncodeError: not_storable,
    ConnectionError: store_away,
    TimeoutError: store_away,
    asyncpg.PostgresConnectionError: store_away,
    asyncpg.InterfaceError: store_away,
    asyncpg.InternalClientError: store_away,
    asyncpg.CannotConnectNowError: store_away,
    Exception: unexpected,
}
