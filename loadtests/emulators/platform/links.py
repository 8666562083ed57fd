"""Tracking and trial links: creation, clicks, claims and what the landing page makes of them."""

from __future__ import annotations

import re
import string
from bisect import bisect_right
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from .clock import iso, iso_or_none
from .records import Account, Link, LinkKind

if TYPE_CHECKING:
    from .world import World

_LINK_URL = re.compile(
    r"/(?P<username>[^/?#]+)/(?:c(?P<campaign>\d+)|t/(?P<fansly>\d+)|trial/(?P<trial>[a-z0-9]{32}))/?(?:[?#].*)?$"
)

LinkFate = Literal["open", "deleted", "expired", "exhausted", "unknown"]


class Links:
    """All links by id, by account (creation order) and by public code."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._by_id: dict[tuple[LinkKind, int], Link] = {}
        self._by_account: dict[tuple[str, LinkKind], list[Link]] = {}
        self._by_code: dict[str, Link] = {}

    def create_tracking(self, account: Account, name: str, tags: list[str]) -> Link:
        """A tracking link; its code is the creator's next campaign number."""
        account.last_campaign_code += 1
        link = Link(
            id=2_117_000 + 3 * self._world.sequence("tracking"),
            kind="tracking",
            account_id=account.id,
            name=name,
            code=str(account.last_campaign_code),
            created_at=self._world.clock.now(),
            tags=list(tags),
        )
        return self._keep(link, f"{account.username.lower()}/c{link.code}")

    def create_fansly(self, account: Account, label: str, description: str) -> Link:
        """A Fansly tracking link: a snowflake id, a small number per creator in its URL."""
        account.last_campaign_code += 1
        link = Link(
            id=875_552_575_192_047_616 + 7_919_003 * self._world.sequence("fansly-link"),
            kind="tracking",
            account_id=account.id,
            name=label,
            code=str(1_000 + account.last_campaign_code),
            created_at=self._world.clock.now(),
            description=description,
        )
        return self._keep(link, f"{account.username.lower()}/t{link.code}")

    def create_trial(
        self, account: Account, name: str, tags: list[str], days: int, offer_limit: int, expires_days: int
    ) -> Link:
        """A trial link of `days`; `offer_limit` 0 = unlimited claims, `expires_days` 0 = never expires."""
        number = self._world.sequence("trial")
        now = self._world.clock.now()
        letters = self._world.rng("trial-code", number)
        link = Link(
            id=11_365_000 + 7 * number,
            kind="trial",
            account_id=account.id,
            name=name,
            code="".join(letters.choices(string.ascii_lowercase + string.digits, k=32)),
            created_at=now,
            tags=list(tags),
            days=days,
            offer_limit=offer_limit,
            expires_at=now + timedelta(days=expires_days) if expires_days else None,
        )
        return self._keep(link, link.code)

    def _keep(self, link: Link, code: str) -> Link:
        self._by_id[(link.kind, link.id)] = link
        self._by_account.setdefault((link.account_id, link.kind), []).append(link)
        self._by_code[code] = link
        return link

    def get(self, kind: LinkKind, link_id: int, account_id: str | None = None) -> Link | None:
        """The link with this id, deleted ones included; None if unknown or of another account."""
        link = self._by_id.get((kind, link_id))
        return link if link is not None and account_id in (None, link.account_id) else None

    def of_account(self, account_id: str, kind: LinkKind) -> list[Link]:
        """All links of one kind in creation order, deleted ones included."""
        return self._by_account.get((account_id, kind), [])

    def by_code(self, username: str, kind: LinkKind, code: str) -> Link | None:
        """The link behind a public path."""
        return self._by_code.get(code if kind == "trial" else f"{username.lower()}/c{int(code)}")

    def by_fansly_code(self, username: str, code: str) -> Link | None:
        """The Fansly link behind a public path."""
        return self._by_code.get(f"{username.lower()}/t{int(code)}")

    def by_url(self, url: str) -> Link | None:
        """The link behind a public URL of any host; None if it is no link or unknown."""
        found = _LINK_URL.search(url)
        if found is None:
            return None
        if found["trial"]:
            return self.by_code(found["username"], "trial", found["trial"])
        if found["fansly"]:
            return self.by_fansly_code(found["username"], found["fansly"])
        return self.by_code(found["username"], "tracking", found["campaign"])

    def url(self, link: Link) -> str:
        """The public URL (upstream spec 1.3, 1.4; Fansly's form is a guess, its API tells none)."""
        account = self._world.accounts[link.account_id]
        if account.platform == "fansly":
            return f"{self._world.settings.fansly_landing_base}/{account.username}/t/{link.code}"
        base = f"{self._world.settings.landing_base}/{account.username}"
        return f"{base}/c{link.code}" if link.kind == "tracking" else f"{base}/trial/{link.code}"

    def fate(self, link: Link, at: datetime) -> LinkFate:
        """Whether a visitor at `at` still subscribes through the link."""
        if link.deleted_at is not None and link.deleted_at <= at:
            return "deleted"
        if link.expires_at is not None and link.expires_at <= at:
            return "expired"
        if link.kind == "trial" and link.offer_limit and link.claims >= link.offer_limit:
            return "exhausted"
        return "open"

    def click(self, link: Link, at: datetime) -> None:
        """Count one visit of the landing page."""
        if link.clicks and at < link.clicks[-1]:
            link.clicks.insert(bisect_right(link.clicks, at), at)
        else:
            link.clicks.append(at)

    def clicks_until(self, link: Link, at: datetime) -> int:
        """Clicks counted by `at`."""
        return bisect_right(link.clicks, at)

    def truth(self) -> list[dict[str, Any]]:
        """Every link with its real counters."""
        return [
            {
                "id": link.id,
                "kind": link.kind,
                "account_id": link.account_id,
                "name": link.name,
                "url": self.url(link),
                "clicks": len(link.clicks),
                "subscriptions": len(self._world.fans.of_link(link)),
                "created_at": iso(link.created_at),
                "deleted_at": iso_or_none(link.deleted_at),
            }
            for link in self._by_id.values()
        ]
