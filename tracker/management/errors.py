"""What an operation may refuse, without HTTP: the API gives these the vendor's shapes, the dashboard shows them at the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class Refused(Exception):
    """The operation is not done. `status` is the HTTP status it deserves, `code` the vendor-style error code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Invalid(Exception):
    """A request that breaks a rule, naming each field and what is wrong with it. Nothing was changed."""

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        super().__init__("invalid request")
        self.errors = {field: list(messages) for field, messages in errors.items()}


def not_found(what: str) -> Refused:
    """404 for a thing that does not exist, or not for this caller."""
    return Refused(404, "NOT_FOUND", f"{what} was not found.")
