"""Who is calling: a team's API key or a person's session, and what they may."""

from __future__ import annotations

from dataclasses import dataclass

from tracker.management.errors import Refused


@dataclass(frozen=True)
class Caller:
    """A key or a session of one team. Every query is by `team_id`.

    `actor` is what the audit log shows; `address` the caller's IP address, '' when unknown.
    """

    team_id: str
    api_key_id: str | None
    user_id: str | None = None
    permissions: frozenset[str] = frozenset()
    actor: str = ""
    address: str = ""
    session_id: str | None = None

    def may(self, permission: str) -> bool:
        """Whether the caller holds a permission."""
        return permission in self.permissions

    def require(self, permission: str) -> None:
        """Raises Refused (403) naming the permission the caller lacks."""
        if permission not in self.permissions:
            raise Refused(403, "FORBIDDEN", f"This needs the permission {permission}, which you do not have.")


def system(team_id: str, actor: str) -> Caller:
    """An act of the installation itself, such as a command on its machine, for the audit log. It holds no permission."""
    return Caller(team_id, None, actor=actor)
