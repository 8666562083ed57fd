"""OnlyAutomator: `POST /api/v2/update-preference` and `/api/v2/sync-notes` (upstream spec section 4).

The bearer is a short-lived user token: grant one with an expiry to see it refused later. Fans are numeric ids; any
other id is one nobody knows. The HTTP statuses of `sync_in_progress` and `service_unavailable` are assumptions.
"""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime
from typing import Any

from .access import Access
from .faults import OK, Mode
from .verdicts import Accepted, Answer, Call, Finding, Verdict, warning

MODES: frozenset[str] = frozenset()
SYNC_NOTES = "/api/v2/sync-notes"
UPDATE_PREFERENCE = "/api/v2/update-preference"
ERRORS = {
    "validation_error": (400, "The request is not valid"),
    "authentication_required": (401, "Authentication is required to access this resource"),
    "permission_denied": (403, "Your token does not have permission to access this resource"),
    "resource_not_found": (404, "Fan not found with the provided ID"),
    "sync_in_progress": (409, "A synchronization is already in progress for this fan"),
    "service_unavailable": (503, "The service is temporarily unavailable"),
}
_FIELDS = {
    SYNC_NOTES: frozenset({"fanId", "force"}),
    UPDATE_PREFERENCE: frozenset({"fanId", "category", "preference", "value"}),
}


def pixel_of(call: Call, access: Access) -> str:
    """The account the token was granted for; "default" for the general token."""
    return access.owner("onlyautomator", call.bearer)


def inspect(path: str, body: dict[str, Any]) -> list[Finding]:
    """Every finding about one request body sent to `path`."""
    found = []
    required = ("fanId",) if path == SYNC_NOTES else ("fanId", "category", "preference")
    for name in required:
        if name not in body or body[name] in (None, ""):
            found.append(_wrong(name, "validation_error", f"The '{name}' field is required"))
        elif not isinstance(body[name], str):
            found.append(_wrong(name, "validation_error", f"The '{name}' field must be a string"))
    if path == UPDATE_PREFERENCE and "value" not in body:
        found.append(_wrong("value", "validation_error", "The 'value' field is required"))
    if path == SYNC_NOTES and not isinstance(body.get("force", False), bool):
        found.append(_wrong("force", "validation_error", "The 'force' field must be a boolean"))
    fan = body.get("fanId")
    if isinstance(fan, str) and fan and not fan.isdecimal():
        found.append(_wrong("fan", "resource_not_found", ERRORS["resource_not_found"][1]))
    return found + [warning("unknown_field", f"{name} is not a field") for name in body.keys() - _FIELDS[path]]


def judge(call: Call, now: float, access: Access, mode: Mode = OK) -> Verdict:
    """Judge a request."""
    if call.path not in _FIELDS:
        return _refused(_wrong("path", "resource_not_found", f"no such path: {call.path}"))
    if call.method != "POST":
        return _refused(_wrong("method", "validation_error", f"{call.method} is not POST"))
    standing = access.standing("onlyautomator", call.bearer, "", now)
    if standing in {"missing", "unknown", "expired"}:
        return _refused(_wrong(f"token_{standing}", "authentication_required", ERRORS["authentication_required"][1]))
    body = call.document() if call.content_type == "application/json" else None
    if body is None:
        return _refused(_wrong("body", "validation_error", "The body must be a JSON object"))
    findings = tuple(finding.at(0, body) for finding in inspect(call.path, body))
    first = next((finding for finding in findings if finding.refused), None)
    if first is not None:
        return Verdict(_error(str(first.code), first.text), (), findings)
    name = call.path.rpartition("/")[2]
    return Verdict(Answer(200, _success(call.path, body, now)), (_accepted(name, body, now),), findings)


def failure(mode: Mode) -> Answer:
    """The error body for a code's name (default service_unavailable). Raises KeyError for a name it does not have."""
    return _error(str(mode.code or "service_unavailable"), status=mode.status)


def _accepted(name: str, body: dict[str, Any], now: float) -> Accepted:
    if name == "sync-notes":
        return Accepted(name, None, now, body)
    # An upsert: the same preference of the same fan is one row, whatever was written last.
    row = (body["fanId"], body["category"], body["preference"])
    return Accepted(name, "/".join(row), now, body, 0, ((row, math.inf),))


def _success(path: str, body: dict[str, Any], now: float) -> dict[str, Any]:
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if path == SYNC_NOTES:
        data: dict[str, Any] = {"synchronized": True, "noteCount": 0, "notes": [], "timestamp": moment}
        return {"status": "success", "data": data}
    row = "/".join((body["fanId"], body["category"], body["preference"]))
    identity = hashlib.sha256(row.encode()).hexdigest()[:12]
    data = {"id": f"pref_{identity}", "userId": "user_1", **body, "source": "extension"}
    return {"status": "success", "data": {**data, "createdAt": moment, "updatedAt": moment}}


def _refused(finding: Finding) -> Verdict:
    return Verdict(_error(str(finding.code), finding.text), (), (finding,))


def _error(code: str, text: str = "", status: int = 0) -> Answer:
    usual, message = ERRORS[code]
    return Answer(status or usual, {"status": "error", "error": {"code": code, "message": text or message}})


def _wrong(rule: str, code: str, text: str) -> Finding:
    return Finding(rule, text, code)
