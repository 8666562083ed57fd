"""The list of the creator's that a smart link's new subscribers are added to: a fan action set up from the link's own form.

It takes the account's own OnlyFansAPI key, so that nobody has to find it again; the connection holds a sealed copy of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from tracker.access.caller import Caller
from tracker.management import connections, destinations
from tracker.management.connections import NewConnection
from tracker.management.errors import Invalid
from tracker.management.services import Services
from tracker.secrets import SealError
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.dashboard", "subscriber_list.sql")


@dataclass(frozen=True)
class SubscriberList:
    """A list that may be used: OnlyFansAPI's id of the account, the list's id, the account's key."""

    provider_account_id: str
    list_id: str
    key: str


async def checked(services: Services, caller: Caller, account_id: str, list_id: str) -> SubscriberList | None:
    """The list a form asks for; None for none. Raises Invalid naming `list_id`."""
    if not list_id:
        return None
    if not caller.may("connections.manage"):
        raise Invalid({"list_id": ["Adding subscribers to a list needs the permission connections.manage."]})
    row = await services.pool.fetchrow(SQL["account"], caller.team_id, account_id)
    if row is None:
        return None  # the account's own field says so
    if row["provider"] != "onlyfansapi" or row["api_key_sealed"] is None:
        raise Invalid({"list_id": ["Lists can be filled on accounts connected through OnlyFansAPI only."]})
    try:
        key = services.secrets.open(row["api_key_sealed"], f"account:{account_id}:api_key").decode()
    except SealError as error:
        raise Invalid({"list_id": ["The account's key cannot be read; connect the account again."]}) from error
    wanted = SubscriberList(row["provider_account_id"], list_id, key)
    try:
        destinations.load(services, "onlyfans_list", _config(wanted), {"token": key})
    except Invalid as error:
        raise Invalid({"list_id": [words for found in error.errors.values() for words in found]}) from error
    return wanted


async def attach(services: Services, caller: Caller, smart_link_id: str, wanted: SubscriberList | None) -> None:
    """Have the link's new subscribers added to the list."""
    if wanted is not None:
        new = NewConnection(
            kind="onlyfans_list", token=wanted.key, config=_config(wanted), name=f"List {wanted.list_id}",
            smart_link_scope="campaign_specific", smart_link_ids=[smart_link_id],
        )  # fmt: skip
        await connections.create(services, caller, new)


def _config(wanted: SubscriberList) -> dict[str, str]:
    return {"account_id": wanted.provider_account_id, "list_id": wanted.list_id}
