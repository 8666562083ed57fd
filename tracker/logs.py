"""Structured logs for every role: one JSON object a line (or colours on a console), UTC times, no secrets by construction."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_URL_QUERY = re.compile(r"(https?://[^\s?#]+)\?[^\s'\"]*")
_SECRET_NAMES = re.compile(r"token|secret|password|authorization|api_key|credential", re.IGNORECASE)


def configure(role: str, level: str, form: str) -> None:
    """Set up structlog and the standard library's logging for a role ('edge', 'recorder', …)."""
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            mask,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    logging.basicConfig(
        level=max(number, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s"
    )


def mask(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Last line of defence: values under secret-sounding names and the query strings of URLs do not reach the log."""
    for name, value in event.items():
        if _SECRET_NAMES.search(name):
            event[name] = "***"
        elif isinstance(value, str) and "?" in value and "http" in value:
            event[name] = _URL_QUERY.sub(r"\1?***", value)
    return event
