"""Meta's error bodies: codes, titles, HTTP statuses, usage headers (capi spec 1.8, 1.9)."""

from __future__ import annotations

import json
from typing import Any

from .verdicts import Answer, Finding

TITLES = {
    2804001: "Click ID Incorrectly Formatted",
    2804003: "Event Timestamp Too Old",
    2804004: "Event Timestamp Outside Of Time Window",
    2804008: "Missing Content ID",
    2804009: "Missing Value For Purchase Event",
    2804011: "Unsupported Currency",
    2804023: "Missing Currency",
    2804050: "You Haven't Added Sufficient Customer Information Parameter Data For This Event",
}
"""`error_user_title` by subcode. Where no published title was found these are our words; match on the subcode."""

_MESSAGES: dict[int, tuple[int, bool, str]] = {
    1: (500, True, "An unknown error occurred"),
    2: (503, True, "An unexpected error has occurred. Please retry your request later."),
    3: (400, False, "(#3) Application does not have the capability to make this API call."),
    4: (400, True, "(#4) Application request limit reached"),
    10: (403, False, "(#10) Application does not have permission for this action"),
    17: (400, True, "(#17) User request limit reached"),
    32: (400, True, "(#32) Page request limit reached"),
    100: (400, False, "Invalid parameter"),
    102: (400, False, "Session key invalid or no longer valid"),
    105: (400, False, "The number of parameters exceeded the maximum for this operation"),
    190: (400, False, "Error validating access token: The session has been invalidated"),
    200: (403, False, "(#200) Permissions error"),
    294: (400, False, "(#294) Managing advertisements requires the extended permission ads_management"),
    341: (400, True, "(#341) Feed action request limit reached"),
    368: (400, False, "The action attempted has been deemed abusive or is otherwise disallowed"),
    613: (400, True, "(#613) Calls to this api have exceeded the rate limit."),
    2500: (400, False, "Unknown path components"),
    2635: (400, False, "(#2635) You are calling a deprecated version of the Ads API."),
    5000: (500, False, "Unknown Error Code"),
    21009: (400, False, "Server side error"),
    80004: (
        400,
        True,
        "(#80004) There have been too many calls to this ad-account. Wait a bit and try again. For more info, please "
        "refer to the rate limiting page.",
    ),
}
_THROTTLES = frozenset({4, 17, 32, 613, *range(80000, 80015)})


def answer(finding: Finding, status: int, trace: str) -> Answer:
    """The error body for a refusal found by validation, under `status` if it is not 0."""
    code = int(finding.code)
    place = "" if finding.index is None else f"data[{finding.index}]: "
    message = "Invalid parameter" if code == 100 and finding.index is not None else finding.text
    error = {**_error(code, finding.subcode, message, trace), "is_transient": False}
    if finding.title:
        error |= {"error_user_title": finding.title, "error_user_msg": f"{place}{finding.text}"}
    if finding.subcode == 33:
        error["type"] = "GraphMethodException"
    return Answer(status or _MESSAGES.get(code, (400,))[0], {"error": error}, usage(calm=True))


def graph_error(code: int | str, subcode: int, status: int, trace: str) -> Answer:
    """The error body for a code asked for by a mode. Raises ValueError for a code that is not a number."""
    number = int(code)
    usual, transient, message = _MESSAGES.get(number, _MESSAGES[80004] if number in _THROTTLES else _MESSAGES[1])
    error = _error(number, subcode, message, trace) | {"is_transient": transient}
    if subcode in TITLES:
        error |= {"error_user_title": TITLES[subcode], "error_user_msg": TITLES[subcode]}
    return Answer(status or usual, {"error": error}, usage(calm=number not in _THROTTLES, code=number))


def usage(*, calm: bool, code: int = 0) -> dict[str, str]:
    """The usage headers: percentages, and minutes until access comes back."""
    share = 1 if calm else 100
    counts = {"call_count": share, "total_cputime": share, "total_time": share}
    headers = {"X-App-Usage": json.dumps(counts)}
    if code >= 80000:
        case = {**counts, "type": "ads_management", "estimated_time_to_regain_access": 7}
        headers["X-Business-Use-Case-Usage"] = json.dumps({"1234567890": [case]})
    elif code == 17:
        headers["X-Ad-Account-Usage"] = json.dumps({"acc_id_util_pct": 100, "reset_time_duration": 420})
    return headers


def _error(code: int, subcode: int, message: str, trace: str) -> dict[str, Any]:
    body: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code}
    if subcode:
        body["error_subcode"] = subcode
    return {**body, "fbtrace_id": trace}
