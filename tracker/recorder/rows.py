"""Log entries as lines of COPY text: fields separated by tabs, an empty field is NULL. Pure, but for the country table.

Text, because joining strings is several times cheaper here than encoding 47 binary columns, and PostgreSQL reads either
about as fast.
"""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from functools import lru_cache

from tracker.clicklog import KIND_BOT
from tracker.recorder.device import device
from tracker.recorder.entry import Entry
from tracker.recorder.geo import Geo

# What a batch as a whole decides, then what the click's own entry says (in the order of `click_tail`).
_CLICK = (
    "gross_clicks last_visit_at spilled click_id smart_link_id account_id clicked_at visitor visitor_by"
    " inventory_link_id lease is_bot bot_reason ip country user_agent browser browser_version os device_type referrer"
    " accept_language landing_url ecid fbclid ttclid sccid gclid gbraid wbraid utm_source utm_medium utm_campaign"
    " utm_term utm_content aff_s1 aff_s2 aff_s3 aff_s4 aff_s5 other_params fbp fbc ttp scid truncated"
)
CLICK_COLUMNS = tuple(_CLICK.split())
VISIT_COLUMNS = ("visit_id", "click_id", "account_id", "visited_at", "visitor_by", "inventory_link_id")

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\x00": None})


@lru_cache(maxsize=4096)
def timestamp(at_ms: int) -> str:
    """Unix milliseconds as PostgreSQL reads them."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def moment(at_ms: int) -> datetime:
    """Unix milliseconds as an aware datetime."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def address(ip: str) -> str:
    """`ip` if it is an IPv4 or IPv6 address, else ''."""
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip)
    except (OSError, ValueError):  # ValueError: NUL or not ASCII
        return ""
    return ip


def click_tail(entry: Entry, geo: Geo) -> str:
    """The part of a click's line that only its own entry decides: from click_id on, without a line end."""
    visit = entry.visit
    is_bot = entry.kind == KIND_BOT
    ip = address(visit.ip)
    found = device(visit.user_agent, is_bot=is_bot)
    link = entry.inventory_link_id
    return join(
        (
            entry.visit_id,
            visit.smart_link_id,
            visit.account_id,
            timestamp(entry.at_ms),
            entry.visitor,
            entry.visitor_by,
            "" if link is None else str(link),
            entry.lease,
            "t" if is_bot else "f",
            visit.bot_reason,
            ip,
            geo.country(ip, visit.cdn_country),
            visit.user_agent,
            *found,
            visit.referrer,
            visit.accept_language,
            visit.landing_url,
            visit.ecid,
            visit.fbclid,
            visit.ttclid,
            visit.sccid,
            visit.gclid,
            visit.gbraid,
            visit.wbraid,
            visit.utm_source,
            visit.utm_medium,
            visit.utm_campaign,
            visit.utm_term,
            visit.utm_content,
            visit.aff_s1,
            visit.aff_s2,
            visit.aff_s3,
            visit.aff_s4,
            visit.aff_s5,
            visit.other_params,
            visit.fbp,
            visit.fbc,
            visit.ttp,
            visit.scid,
            text_array(visit.truncated) if visit.truncated else "",
        )
    )


def click_line(tail: str, gross_clicks: int, last_visit_ms: int, spilled: bool) -> str:
    """A line for `clicks` in the order of CLICK_COLUMNS."""
    return f"{gross_clicks}\t{timestamp(last_visit_ms)}\t{'t' if spilled else 'f'}\t{tail}\n"


def visit_line(entry: Entry, click_id: str, inventory_link_id: int | None) -> str:
    """A line for `visits` in the order of VISIT_COLUMNS."""
    link = "" if inventory_link_id is None else str(inventory_link_id)
    account_id = entry.visit.account_id
    return join((entry.visit_id, click_id, account_id, timestamp(entry.at_ms), entry.visitor_by, link)) + "\n"


def join(fields: tuple[str, ...]) -> str:
    """Fields as COPY text, escaped, NUL left out (PostgreSQL's text cannot hold it)."""
    line = "\t".join(fields)
    # One look at the whole line: next to none needs escaping.
    if "\\" in line or "\n" in line or "\r" in line or "\x00" in line or line.count("\t") != len(fields) - 1:
        return "\t".join([field.translate(_ESCAPES) for field in fields])
    return line


def text_array(values: tuple[str, ...]) -> str:
    """The literal of a text[]."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"
