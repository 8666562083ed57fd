"""The vendor's own Python client, generated from its OpenAPI, reads our answers."""

from __future__ import annotations

from typing import Any

import pytest
from onlyfansapi import AsyncOnlyFansAPI, AuthenticationError, NotFoundError

from loadtests.emulators.platform import Platform


async def test_the_vendors_own_client_understands_us(platform: Platform) -> None:
    async with AsyncOnlyFansAPI(api_key="test-key", base_url=platform.url, max_retries=0) as client:
        created = await client.tracking_links.create("acct_madison", name="pool-1", tags=["pool"])
        assert created.data is not None
        made: Any = created.data[0]
        fan = platform.world.fans.subscribe(
            platform.world.account("acct_madison"),
            platform.world.fans.person(),
            platform.world.links.by_url("https://onlyfans.com/madison/c1"),
        ).fan
        listed = await client.tracking_links.list("acct_madison", limit=100, sortby="created_date")
        assert listed.data is not None
        assert listed.data.list is not None
        row = listed.data.list[0]
        assert (row.id, row.campaign_code, row.subscribers_count) == (made.id, 1, 1)
        subscribers = await client.tracking_links.list_subscribers(
            str(made.id), account="acct_madison", limit=10, offset=0
        )
        assert subscribers.data is not None
        assert subscribers.data.list is not None
        assert subscribers.data.list[0].id == fan.id
        trial = await client.trial_links.create("acct_madison", duration=7, offer_limit=10, offer_expiration=30)
        assert trial.data is not None
        assert trial.data.url is not None
        assert "/trial/" in trial.data.url
        money = await client.transactions.list("acct_madison")
        assert money.data is not None
        assert money.data.list is not None
        assert money.data.list[0].amount == 9.99
        latest = await client.fans.list_latest("acct_madison", type="new")
        assert latest.data is not None
        assert latest.data.users is not None
        assert latest.data.users[0].id == fan.id
        with pytest.raises(NotFoundError):
            await client.tracking_links.retrieve("1", account="acct_madison")
    async with AsyncOnlyFansAPI(api_key="wrong", base_url=platform.url, max_retries=0) as stranger:
        with pytest.raises(AuthenticationError):
            await stranger.accounts.list()
