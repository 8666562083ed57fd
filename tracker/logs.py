"""Structured logs for every role: one JSON object a line (or colours on a console), UTC times, no secrets by construction."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

_URL_QUERY = re.compile(r"(https?://[^\s?#]+)\?[^\s'\"]*")
_URL_PASSWORD = re.compile(r"(://[^\s:/@]*):[^\s/@]+@")
_SECRET_NAMES = re.compile(r"token|secret|password|authorization|api_key|credential", re.IGNORECASE)


class Forgiving:
    """A stream that drops what it cannot write: a full disk under the log must not stop the work that is logged."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write as far as possible; never raises OSError."""
        try:
            return self._stream.write(text)
        except OSError:
            return 0

    def flush(self) -> None:
        """Flush as far as possible."""
        try:
            self._stream.flush()
        except OSError:
            return


def configure(role: str, level: str, form: str) -> None:
    """Set up structlog and the standard library's logging for a role ('edge', 'recorder', …)."""
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        # Pretty tracebacks show local variables, and those are people's data and our secrets.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, mask, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, Forgiving(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role, pid=os.getpid())
    # Libraries log through the standard library: their warnings become lines of the same form.
    handler = logging.StreamHandler(Forgiving(sys.stderr))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, mask, renderer],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


def mask(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Last line of defence: values under secret-sounding names, passwords in URLs and query strings do not reach the log."""
    for name, value in event.items():
        if _SECRET_NAMES.search(name):
            event[name] = "***"
        elif isinstance(value, str) and "://" in value:
            event[name] = _URL_PASSWORD.sub(r"\1:***@", _URL_QUERY.sub(r"\1?***", value))
    return event
