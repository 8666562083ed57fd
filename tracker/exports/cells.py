"""Values as a spreadsheet takes them. Pure.

Strangers write into clicks (ecid, utm, referrer, user agent) and fans choose their names: a cell that a spreadsheet would
run as a formula gets an apostrophe in front, as OWASP's page on CSV injection advises. Numbers and times are ours.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from decimal import Decimal

# What begins a formula in Excel, LibreOffice or Google Sheets, full-width forms too; white space before it may be dropped
# on import. Tab and line breaks would begin a cell of their own.
_RISKY = re.compile(r"[\t\r\n]|[\s\x00-\x1f]*[=+\-@\uff1d\uff0b\uff0d\uff20]")
# Not allowed in XML 1.0, and nothing a person wants in a table.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def defused(text: str) -> str:
    """The text as a cell that no spreadsheet runs."""
    shown = _CONTROLS.sub("\ufffd", text)
    return "'" + shown if _RISKY.match(text) else shown


def dollars(cents: int) -> str:
    """`-1234` → `-12.34`, exact."""
    return str(Decimal(cents).scaleb(-2).quantize(Decimal("0.01")))


def moment(at: datetime, zone: tzinfo) -> str:
    """ISO 8601 with milliseconds: `…Z` in UTC, else with the zone's offset at that time."""
    text = at.astimezone(zone).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z" if zone is UTC else text
