"""What a team can choose from in filters and forms: accounts, tags, platforms."""

from __future__ import annotations

from dataclasses import dataclass

from tracker.stores.postgres import Pool
from tracker.stores.queries import load_queries

PLATFORMS = {"onlyfans": "OnlyFans", "fansly": "Fansly"}
SQL = load_queries("tracker.dashboard", "choices.sql")


@dataclass(frozen=True)
class Account:
    """A creator's account as lists name it."""

    account_id: str
    provider: str
    label: str

    @property
    def platform(self) -> str:
        """Where its page is."""
        return "fansly" if self.provider == "fansly" else "onlyfans"


@dataclass(frozen=True)
class Choices:
    """A team's accounts and tags."""

    accounts: list[Account]
    tags: list[str]

    @property
    def platforms(self) -> dict[str, str]:
        """The platforms of the accounts."""
        return {name: label for name, label in PLATFORMS.items() if any(one.platform == name for one in self.accounts)}

    def account(self, account_id: str) -> Account | None:
        """One account."""
        return next((one for one in self.accounts if one.account_id == account_id), None)

    def label(self, account_id: str) -> str:
        """How an account is called."""
        found = self.account(account_id)
        return found.label if found else account_id


async def choices(pool: Pool, team_id: str) -> Choices:
    """What the team has."""
    accounts = [
        Account(row["account_id"], row["provider"], _label(row["display_name"], row["username"], row["account_id"]))
        for row in await pool.fetch(SQL["accounts"], team_id)
    ]
    return Choices(accounts, [row["tag"] for row in await pool.fetch(SQL["tags"], team_id)])


def _label(display_name: str, username: str, account_id: str) -> str:
    if display_name and username and display_name.lower() != username.lower():
        return f"{display_name} (@{username})"
    return display_name or (f"@{username}" if username else account_id)
