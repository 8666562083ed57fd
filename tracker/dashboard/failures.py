"""Errors as pages: what is wrong, in words, and the way on."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import asyncpg
import structlog
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException, ValidationException

from tracker.dashboard.headers import add_headers
from tracker.dashboard.rendering import page
from tracker.management.errors import Invalid, Refused

log = structlog.get_logger()

TITLES = {
    400: "This address is not understood",
    403: "You may not see this",
    404: "There is nothing here",
    405: "This cannot be done here",
    409: "This is not possible now",
    413: "That is too much at once",
    422: "Something is not right",
    429: "Too many tries",
    503: "A store is away",
}


def failure(request: Request[Any, Any, Any], status: int, message: str) -> Response[Any]:
    """An error page."""
    title = TITLES.get(status, "Something went wrong")
    return add_headers(page(request, "failure.html", title=title, status=status, message=message))


def refused(request: Request[Any, Any, Any], error: Refused) -> Response[Any]:
    """A refusal; who is not logged in is shown the door, and comes back to where they were going."""
    if error.status != 401:
        return failure(request, error.status, error.message)
    if request.headers.get("hx-request"):  # a fragment cannot show a log-in page: the whole page goes there
        return add_headers(Response("", status_code=200, headers={"HX-Redirect": "/login"}))
    going = quote(request.url.path + (f"?{request.url.query}" if request.url.query else ""), safe="")
    where = f"/login?next={going}" if request.method == "GET" and request.url.path != "/overview" else "/login"
    return add_headers(Response("", status_code=303, media_type=MediaType.HTML, headers={"Location": where}))


def invalid(request: Request[Any, Any, Any], error: Invalid) -> Response[Any]:
    """A value that breaks a rule where no form shows it."""
    return failure(request, 422, " ".join(message for messages in error.errors.values() for message in messages))


def http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Bad paths, bodies too large, and so on."""
    return failure(request, error.status_code, error.detail if error.status_code < 500 else "It has been logged.")


def bad_request(request: Request[Any, Any, Any], error: ValidationException) -> Response[Any]:
    """A parameter of the wrong type."""
    return failure(request, 400, "A part of the address has a form this page does not take.")


def not_storable(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Text no database column takes."""
    return failure(request, 400, "A value holds characters or a number that cannot be stored.")


def store_away(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """A store is down."""
    log.warning("dashboard.store_away", path=request.url.path, error=type(error).__name__)
    answer = failure(request, 503, "The database does not answer. Redirects go on; try again in a few seconds.")
    answer.headers["Retry-After"] = "5"
    return answer


def unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """A defect of ours."""
    log.exception("dashboard.defect", path=request.url.path, error=repr(error))
    return failure(request, 500, "This is a defect of ours; it has been logged.")


HANDLERS: dict[Any, Any] = {
    Refused: refused,
    Invalid: invalid,
    ValidationException: bad_request,
    HTTPException: http_error,
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
