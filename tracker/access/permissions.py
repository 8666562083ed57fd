"""Who may do what: permissions `category.action`, the roles that bundle them, and the rule that nobody grants what they lack.

The roles are those of the vendor's page "Team roles & permissions", on our categories (spec 10): effective permissions are the role's
defaults and what is granted on top; the owner is set when the team is made or by transfer, never by invitation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from tracker.management.errors import Invalid, Refused

CATEGORIES = {
    "smart-links": "Smart links, tracking and trial links, tags, pools",
    "postbacks": "Postbacks",
    "connections": "Ad platforms and fan actions",
    "accounts": "Creators' accounts",
    "reports": "Reports, clicks, conversions, fans",
    "exports": "Data exports",
    "deliveries": "Delivery log and replay",
    "team": "The team and its members",
    "api-keys": "API keys",
    "audit-log": "Who did what",
    "webhooks": "The team's own webhooks",
    "data-protection": "Retention and erasure",
}
ACTIONS = ("view", "manage")

OWN = "team.own"  # hand the team to another owner; reset a member's password. The owner's alone: no role or grant holds it
SIGNED_IN = "signed-in"  # a handler for every caller with a valid key or session
PUBLIC = "public"  # a handler for everybody

GRANTABLE = frozenset(f"{category}.{action}" for category in CATEGORIES for action in ACTIONS)
PERMISSIONS = GRANTABLE | {OWN}

Role = Literal["owner", "admin", "member", "developer", "viewer", "custom"]
AssignableRole = Literal["admin", "member", "developer", "viewer", "custom"]
ASSIGNABLE: tuple[str, ...] = get_args(AssignableRole)

_VIEW = frozenset(f"{category}.view" for category in CATEGORIES)
_OPERATIONS = ("accounts", "smart-links", "postbacks", "connections", "deliveries", "reports")
_INTEGRATION = ("api-keys", "webhooks", "exports")

ROLES: dict[str, frozenset[str]] = {
    "owner": PERMISSIONS,
    "admin": GRANTABLE,
    "member": (_VIEW - {"team.view"}) | {f"{category}.manage" for category in (*_OPERATIONS, *_INTEGRATION)},
    "developer": (_VIEW - {"team.view"}) | {f"{category}.manage" for category in _INTEGRATION},
    "viewer": _VIEW,
    "custom": frozenset(),
}


def expand(names: Iterable[str]) -> frozenset[str]:
    """The permissions with what they imply: who may manage a thing may see it."""
    given = frozenset(names) & PERMISSIONS
    return given | {name.removesuffix(".manage") + ".view" for name in given if name.endswith(".manage")}


def effective(role: str, extra: Iterable[str]) -> frozenset[str]:
    """What a member may: the role's defaults and the grants on top. A grant never makes an owner."""
    return ROLES[role] | (expand(extra) & GRANTABLE)


def of_key(maker: frozenset[str], scopes: Iterable[str] | None) -> frozenset[str]:
    """What a key may: its scopes, as far as its maker may them; without scopes, all its maker may."""
    return maker if scopes is None else maker & expand(scopes)


def known(names: Iterable[str], field: str = "permissions") -> list[str]:
    """Grantable permissions, sorted and without repeats. Raises Invalid naming the field and the unknown one."""
    wanted = sorted(set(names))
    for name in wanted:
        if name not in GRANTABLE:
            raise Invalid({field: [f"There is no permission {name[:64]!r}; GET /api/team/roles lists them."]})
    return wanted


def may_grant(own: frozenset[str], granted: Iterable[str]) -> None:
    """Raises Refused (403) when somebody would give a permission they do not have, or touch somebody who has more."""
    missing = expand(granted) - own
    if missing:
        raise Refused(403, "FORBIDDEN", f"You cannot grant or change what you may not do yourself: {min(missing)}.")
