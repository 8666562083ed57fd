"""How OFAuth refuses: error types, written in one of its two generations by the gateway (upstream spec 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import calls
from ..calls import ApiError

STATUSES = {
    "UNAUTHORIZED": 401,
    "SESSION_NOT_PROVIDED": 401,
    "SESSION_EXPIRED": 401,
    "FORBIDDEN": 403,
    "BAD_REQUEST": 400,
    "RESOURCE_NOT_FOUND": 404,
    "ROUTE_NOT_FOUND": 404,
    "RATE_LIMIT_EXCEEDED": 429,
}


def refused(type: str, message: str, violation: str | None = None, **details: Any) -> ApiError:
    """An error of a type; the gateway puts it into words."""
    body = {"type": type, "message": message, "details": details}
    return ApiError(STATUSES[type], body, violation=violation)


def invalid(name: str, message: str, violation: str | None = None) -> ApiError:
    """400 for one bad parameter."""
    return refused("BAD_REQUEST", message, violation, field=name)


@dataclass(slots=True)
class Call(calls.Call):
    """A call of OFAuth."""

    def invalid(self, name: str, message: str, violation: str | None = None) -> ApiError:
        """400."""
        return invalid(name, message, violation)

    def not_found(self) -> ApiError:
        """404."""
        return refused("RESOURCE_NOT_FOUND", "The requested resource was not found")
