"""CreatorTraffic: `POST /api/v1/conversions`, a bearer token, one conversion a request.

**An assumption.** CreatorTraffic publishes no API; what is known is one API token per connection and conversions of
subscribers only (capi spec 4.5). This is the smallest contract that fits: JSON `{click_id, event: "subscriber",
conversion_id, occurred_at}`, 200 `{"status": "ok"}` (also for a repeated `conversion_id`, which counts once), 401 for
the token, 422 for the body. `PATH` may be changed by whoever knows better
(`running_adplatforms(creatortraffic_path=...)`).
"""

from __future__ import annotations

import math
import re
from datetime import datetime

from .access import Access
from .faults import OK, Mode
from .verdicts import Accepted, Answer, Call, Finding, Verdict, warning

MODES: frozenset[str] = frozenset()
PATH = "/api/v1/conversions"
_FIELDS = frozenset({"click_id", "event", "conversion_id", "occurred_at"})
_MACRO = re.compile(r"\$?\{.*\}|\[.+\]|##.+##|__\w+__|%7B.*%7D", re.IGNORECASE)


def pixel_of(call: Call, access: Access) -> str:
    """The account the token was granted for; "default" for the general token."""
    return access.owner("creatortraffic", call.bearer)


def inspect(conversion: dict[str, object], now: float) -> list[Finding]:
    """Every finding about one conversion, at `now` (epoch seconds)."""
    found = []
    for name in ("click_id", "conversion_id"):
        if not isinstance(conversion.get(name), str) or not conversion[name]:
            found.append(_invalid(name, f"{name} must be a non-empty string"))
    if isinstance(conversion.get("click_id"), str) and _MACRO.fullmatch(str(conversion["click_id"])):
        found.append(_invalid("macro", "click_id is a macro that nobody replaced"))
    if conversion.get("event") != "subscriber":
        found.append(_invalid("event", 'event must be "subscriber"'))
    at = _moment(conversion.get("occurred_at"))
    if at is None:
        found.append(_invalid("occurred_at", "occurred_at must be RFC 3339 with a zone"))
    elif at > now + 600:
        found.append(_invalid("occurred_at_future", "occurred_at is in the future"))
    found += [warning("unknown_field", f"{name} is not a field") for name in conversion.keys() - _FIELDS]
    return found


def judge(call: Call, now: float, access: Access, mode: Mode = OK) -> Verdict:
    """Judge a request; the rim has already matched its path."""
    if call.method != "POST":
        return _refused(Finding("method", "method not allowed", 405))
    standing = access.standing("creatortraffic", call.bearer, "", now)
    if standing in {"missing", "unknown", "expired"}:
        return _refused(Finding("token", f"API token {standing}", 401))
    body = call.document() if call.content_type == "application/json" else None
    if body is None:
        return _refused(_invalid("body", "a JSON object is required"))
    findings = tuple(finding.at(0, body) for finding in inspect(body, now))
    first = next((finding for finding in findings if finding.refused), None)
    if first is not None:
        return Verdict(_error(422, first.text), (), findings)
    conversion_id = str(body["conversion_id"])
    accepted = Accepted(
        "subscriber", conversion_id, _moment(body["occurred_at"]), body, 0, (((conversion_id,), math.inf),)
    )
    return Verdict(Answer(200, {"status": "ok"}), (accepted,), findings)


def failure(mode: Mode) -> Answer:
    """The error body under `status`, or `code` read as one (default 500)."""
    return _error(mode.status or int(mode.code or 500), "error as told")


def _refused(finding: Finding) -> Verdict:
    return Verdict(_error(int(finding.code), finding.text), (), (finding,))


def _error(status: int, text: str) -> Answer:
    return Answer(status, {"error": text})


def _invalid(rule: str, text: str) -> Finding:
    return Finding(rule, text, 422)


def _moment(value: object) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.timestamp()
