"""How OnlyFansAPI refuses: its own validation errors, and those of OnlyFans wrapped and charged."""

from __future__ import annotations

from dataclasses import dataclass

from .. import calls
from ..calls import ApiError, Endpoint, Handler, Reply, page

__all__ = [
    "ApiError", "Call", "Endpoint", "Handler", "Reply", "invalid", "not_found", "onlyfans_error", "page",
]  # fmt: skip


def invalid(name: str, message: str, violation: str | None = None) -> ApiError:
    """422 VALIDATION_ERROR for one field (upstream spec 1.1)."""
    body = {
        "error": "VALIDATION_ERROR",
        "message": message,
        "description": "The request parameters failed validation.",
        "errors": {name: [message]},
    }
    return ApiError(422, body, violation=violation)


def onlyfans_error(status: int, message: str) -> ApiError:
    """An error of OnlyFans itself, wrapped and charged (upstream spec 1.1, 6.3 row 17)."""
    body = {
        "error": "ONLYFANS_COM_ERROR",
        "message": message,
        "onlyfans_response": {"status": status, "body": {"error": {"message": message}}},
    }
    return ApiError(status, body, credits=1)


def not_found() -> ApiError:
    """404 of OnlyFans."""
    return onlyfans_error(404, "The requested OnlyFans resource was not found.")


@dataclass(slots=True)
class Call(calls.Call):
    """A call of OnlyFansAPI, its Fansly part included."""

    def invalid(self, name: str, message: str, violation: str | None = None) -> ApiError:
        """422."""
        return invalid(name, message, violation)

    def not_found(self) -> ApiError:
        """404, charged."""
        return not_found()
