"""Transactions and chargebacks of OFAuth: OnlyFans' rows with their amounts in an object of their own (upstream spec 2)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from tracker.providers import fields
from tracker.providers.base import ProviderError, Transaction
from tracker.providers.ofauth.client import ACCESS, MOST_PAGES, Client, rows_of
from tracker.providers.onlyfansapi import money


def read_transaction(row: dict[str, Any]) -> Transaction | None:
    """A payment; None without id, time, amount or fan."""
    return money.read_transaction(_flat(row))


def read_chargeback(row: dict[str, Any]) -> Transaction | None:
    """A payment taken back; `payment.id` is the transaction's."""
    return money.read_chargeback({**row, "payment": _flat(fields.mapping(row.get("payment")))})


def transactions(client: Client, since: datetime) -> AsyncIterator[list[Transaction]]:
    """Payments from `since` on, newest first, repeats possible."""
    return _marked(client, f"{ACCESS}/earnings/transactions", since, read_transaction)


def chargebacks(client: Client, since: datetime) -> AsyncIterator[list[Transaction]]:
    """Payments taken back since then, newest first."""
    return _marked(client, f"{ACCESS}/earnings/chargebacks", since, read_chargeback)


async def _marked(
    client: Client, path: str, since: datetime, read: Callable[[dict[str, Any]], Transaction | None]
) -> AsyncIterator[list[Transaction]]:
    """Pages by marker, the second of the last row; the next page begins one second later, for other rows of that second.

    The page's size cannot be asked for, so a second that fills a whole page is stepped past.
    """
    start = since.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    marker: int | None = None
    for _ in range(MOST_PAGES):
        params: dict[str, str | int] = {"startDate": start}
        if marker is not None:
            params["marker"] = marker
        answer = await client.get(path, params)
        yield [found for found in (read(row) for row in rows_of(answer)) if found is not None]
        following = fields.mapping(answer)
        told = fields.id_text(following.get("nextMarker"))
        if following.get("hasMore") is not True or not told.isdigit():
            return
        stuck = marker is not None and int(told) + 1 >= marker
        marker = min(int(told), marker - 1) if stuck and marker is not None else int(told) + 1
    raise ProviderError("transient", "OFAuth's earnings list does not end.")


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    amounts = fields.mapping(row.get("amounts"))
    return {**row, "amount": amounts.get("gross"), "net": amounts.get("net"), "fee": amounts.get("fee")}
