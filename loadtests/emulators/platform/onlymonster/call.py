"""How Onlymonster refuses, and its time parameters. Error bodies are those of its web framework (a guess)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from .. import calls
from ..calls import ApiError

_ZULU = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def invalid(name: str, message: str, violation: str | None = None) -> ApiError:
    """400 for one bad parameter."""
    body = {"statusCode": 400, "code": "FST_ERR_VALIDATION", "error": "Bad Request", "message": f"{name}: {message}"}
    return ApiError(400, body, violation=violation)


def not_found(message: str = "Not found") -> ApiError:
    """404."""
    return ApiError(404, {"statusCode": 404, "error": "Not Found", "message": message})


@dataclass(slots=True)
class Call(calls.Call):
    """A call of Onlymonster."""

    def invalid(self, name: str, message: str, violation: str | None = None) -> ApiError:
        """400."""
        return invalid(name, message, violation)

    def not_found(self) -> ApiError:
        """404."""
        return not_found()

    def zulu(self, name: str) -> datetime | None:
        """A date-time with a zone; a space where a plus was not quoted is a breach too."""
        text = self.request.query.get(name)
        if text is None:
            return None
        try:
            if _ZULU.fullmatch(text) is None:
                raise ValueError(text)
            return datetime.fromisoformat(text)
        except ValueError:
            raise invalid(name, 'must match format "date-time"', "bad_parameter") from None

    def range(self) -> tuple[datetime, datetime]:
        """The required `start` and `end`."""
        start, end = self.zulu("start"), self.zulu("end")
        for name, value in (("start", start), ("end", end)):
            if value is None:
                raise invalid(name, "must have required property", "missing_parameter")
        assert start is not None
        assert end is not None
        if end < start:
            raise invalid("end", "must not be before start", "bad_parameter")
        return start, end
