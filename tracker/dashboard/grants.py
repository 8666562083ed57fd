"""Permissions as a person chooses them: roles in words, and a grid of categories with what may be seen and what may be changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tracker.access.caller import Caller
from tracker.access.permissions import ACTIONS, ASSIGNABLE, CATEGORIES, GRANTABLE, ROLES, effective, expand
from tracker.dashboard.forms import Form
from tracker.management.errors import Invalid

ROLE_WORDS = {
    "owner": "May do everything, and hand the team over.",
    "admin": "May do everything but hand the team over.",
    "member": "Runs the campaigns: smart links, postbacks, ad platforms, accounts, reports, exports, API keys. Does not see the team.",
    "developer": "Sees everything but the team; makes API keys, webhooks and exports.",
    "viewer": "Sees everything, changes nothing.",
    "custom": "May do only what is ticked below.",
}


@dataclass(frozen=True)
class Cell:
    """One box of the grid. `roles`: those that hold the permission anyway; `grantable`: whether the caller may give it."""

    name: str
    label: str
    roles: tuple[str, ...]
    grantable: bool


@dataclass(frozen=True)
class Line:
    """A category: what may be seen, what may be changed."""

    title: str
    cells: tuple[Cell, ...]


def grid(caller: Caller) -> list[Line]:
    """The grid as the caller may fill it."""
    return [
        Line(title, tuple(_cell(caller, f"{category}.{action}", action, title) for action in ACTIONS))
        for category, title in CATEGORIES.items()
    ]


def roles_to_give(caller: Caller) -> dict[str, bool]:
    """The roles that can be given, and whether the caller may give them: nobody gives what they may not do themselves."""
    return {role: ROLES[role] <= caller.permissions for role in ASSIGNABLE}


def chosen(form: Form) -> tuple[str, list[str]]:
    """The role and the permissions beyond it that a form asks for. Raises Invalid for a role that would hold nothing."""
    role, granted = form.get("role"), form.all("permissions")
    if role == "custom" and not granted:
        raise Invalid({"permissions": ["A custom role holds only what is ticked: tick at least one box."]})
    return role, granted


def may_touch(caller: Caller, role: str, granted: Iterable[str]) -> bool:
    """Whether the caller may change somebody of this role and these grants."""
    return role != "owner" and caller.may("team.manage") and effective(role, granted) <= caller.permissions


def may_do(caller: Caller, permissions: Iterable[str]) -> bool:
    """Whether the caller may do all of this."""
    return expand(permissions) <= caller.permissions


def summary(permissions: Iterable[str]) -> list[tuple[str, str]]:
    """Permissions by category, in words: [('Postbacks', 'see and change')]. Categories without any are left out."""
    held = frozenset(permissions) & GRANTABLE
    found = []
    for category, title in CATEGORIES.items():
        if f"{category}.manage" in held:
            found.append((title, "see and change"))
        elif f"{category}.view" in held:
            found.append((title, "see"))
    return found


def _cell(caller: Caller, name: str, action: str, title: str) -> Cell:
    roles = tuple(role for role in ASSIGNABLE if name in ROLES[role])
    return Cell(name, f"{'See' if action == 'view' else 'Change'}: {title}", roles, caller.may(name))
