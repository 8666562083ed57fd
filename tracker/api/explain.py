"""Why a fan, a conversion or a click is credited as it is (spec 4: "every credit can be explained")."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from tracker.access.caller import Caller
from tracker.api.envelope import envelope
from tracker.explain.explanation import Explanation, Kind
from tracker.explain.load import Ambiguous, explain
from tracker.management.errors import Refused, not_found
from tracker.management.services import Services

KINDS: dict[str, Kind] = {"fan": "fan", "conversion": "conversion", "click": "click"}


@get("/api/explain/{kind:str}/{name:str}", permission="reports.view")
async def explain_credit(
    kind: FromPath[str],
    name: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    account_id: FromQuery[str | None] = None,
) -> dict[str, Any]:
    """The chain of lease, rule, competing clicks and platform events; kind: fan, conversion or click.

    `account_id` says which account's fan is meant; without it, a fan whom several of the team's accounts know is a 409
    that names them.
    """
    if kind not in KINDS:
        raise Refused(404, "NOT_FOUND", "What can be explained: a fan, a conversion or a click.")
    try:
        told = await explain(services.pool, KINDS[kind], name, team_id=caller.team_id, account_id=account_id)
    except Ambiguous as several:
        raise Refused(
            409,
            "AMBIGUOUS",
            f"Several accounts know this fan; add account_id, one of: {', '.join(several.account_ids)}.",
        ) from several
    if told is None:
        raise not_found(f"This {kind}")
    return envelope(as_json(told))


def as_json(told: Explanation) -> dict[str, Any]:
    """An explanation as the API and `clickbind explain --json` give it."""
    built: dict[str, Any] = msgspec.to_builtins(told)
    return built
