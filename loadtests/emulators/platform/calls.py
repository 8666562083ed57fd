"""One API call as a handler of any vendor sees it: validated parameters in, data or an error out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from aiohttp import web

from .clock import parse_moment
from .records import Account, Fan
from .world import World

if TYPE_CHECKING:
    from .webhooks import Webhooks

Latency = Literal["create", "list", "read", "cached"]


class ApiError(Exception):
    """A vendor error answer. `violation` names the contract breach to record, if it is one."""

    def __init__(
        self,
        status: int,
        body: dict[str, Any] | str,
        *,
        credits: int = 0,
        violation: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(str(body)[:200])
        self.status = status
        self.body = body
        self.credits = credits
        self.violation = violation
        self.headers = headers or {}


@dataclass(slots=True)
class Reply:
    """What a handler answers. `next_page` is a dict of query changes, None = last page, ... = not paginated;
    `bare` skips the envelope."""

    data: Any
    next_page: Any = ...
    status: int = 200
    bare: bool = False
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    """A request past the gateway's checks. `account` is set on account routes. A vendor's own kind of call says
    how it refuses: `invalid` and `not_found`."""

    request: web.Request
    world: World
    webhooks: Webhooks
    account_or_none: Account | None
    body: dict[str, Any]

    def invalid(self, name: str, message: str, violation: str | None = None) -> ApiError:
        """The vendor's answer to one bad parameter."""
        return ApiError(400, {"message": message, "field": name}, violation=violation)

    def not_found(self) -> ApiError:
        """The vendor's answer to an unknown id."""
        return ApiError(404, {"message": "Not found"})

    @property
    def account(self) -> Account:
        """The account of the path."""
        assert self.account_or_none is not None
        return self.account_or_none

    @property
    def now(self) -> datetime:
        """Virtual now."""
        return self.world.clock.now()

    def number(self, name: str, default: int, low: int = 0, high: int | None = None) -> int:
        """An integer query parameter within [low, high]; outside is refused and a violation."""
        text = self.request.query.get(name)
        if text is None or text == "":
            return default
        try:
            value = int(text)
        except ValueError:
            raise self.invalid(name, f"The {name} field must be an integer.", "bad_parameter") from None
        if value < low:
            kind = "limit_under_min" if name == "limit" and low > 1 else "bad_parameter"
            raise self.invalid(name, f"The {name} field must be at least {low}.", kind)
        if high is not None and value > high:
            kind = "limit_over_max" if name == "limit" else "bad_parameter"
            raise self.invalid(name, f"The {name} field must not be greater than {high}.", kind)
        return value

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        """A query parameter out of `allowed`."""
        value = self.request.query.get(name) or default
        if value not in allowed:
            raise self.invalid(name, f"The selected {name} is invalid.", "bad_parameter")
        return value

    def moment(self, name: str) -> datetime | None:
        """A time query parameter, None if absent."""
        text = self.request.query.get(name)
        if not text:
            return None
        try:
            return parse_moment(text, self.now)
        except (ValueError, OverflowError):
            raise self.invalid(name, f"The {name} field must be a valid date.", "bad_parameter") from None

    def path_number(self, name: str) -> int:
        """A numeric path part; anything else is unknown to the platform."""
        number = _id(self.request.match_info[name])
        if number is None:
            raise self.not_found()
        return number

    def fan(self, name: str) -> Fan:
        """The fan of a path part, by id or `u{id}` name."""
        number = _id(self.request.match_info[name].removeprefix("u"))
        fan = None if number is None else self.world.people.get(number)
        if fan is None:
            raise self.not_found()
        return fan

    def text(self, name: str, longest: int | None = None, *, required: bool = True) -> str:
        """A text body field."""
        value = self.body.get(name)
        if value is None and not required:
            return ""
        if not isinstance(value, str) or (required and not value.strip()):
            raise self.invalid(name, f"The {name} field is required.")
        if longest is not None and len(value) > longest:
            raise self.invalid(name, f"The {name} field must not be greater than {longest} characters.")
        return value

    def texts(self, name: str, *, required: bool = False) -> list[str]:
        """A body field holding a list of texts."""
        value = self.body.get(name)
        if value is None and not required:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.invalid(name, f"The {name} field must be an array.")
        if required and not value:
            raise self.invalid(name, f"The {name} field is required.")
        return list(value)

    def whole(self, name: str, low: int, high: int | None = None, default: int | None = None) -> int:
        """A whole number body field within [low, high]; required unless `default` is given."""
        value = self.body.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.invalid(name, f"The {name} field must be an integer.")
        if value < low or (high is not None and value > high):
            raise self.invalid(name, f"The {name} field is out of range.")
        return value


def _id(text: str) -> int | None:
    # Longer than any id, and int() itself refuses some thousand digits.
    return int(text) if len(text) <= 20 and text.isascii() and text.isdigit() else None


def page(rows: list[Any], offset: int, limit: int) -> tuple[list[Any], bool, dict[str, int] | None]:
    """A window of `rows`: (rows, hasMore, query of the next page)."""
    more = offset + limit < len(rows)
    return rows[offset : offset + limit], more, {"offset": offset + limit, "limit": limit} if more else None


Handler = Callable[[Any], Awaitable[Reply]]
"""Takes the vendor's own kind of `Call`."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route with what the vendor charges for it (OnlyFansAPI only) and whether it needs the account's live session.

    permission  what OFAuth wants the connection to have, '' = nothing
    per_second  set where Onlymonster has a limit lower than its usual one
    """

    method: str
    path: str
    handler: Handler
    credits: int = 1
    latency: Latency = "list"
    live: bool = True
    permission: str = ""
    per_second: int | None = None
