"""The places of the dashboard, as the side bar names them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """One entry of the side bar. `key`: pressed after g, it goes there. `permission`: what a person needs to see it."""

    path: str
    label: str
    icon: str
    key: str
    permission: str
