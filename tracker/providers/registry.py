"""Which providers there are. A new one is its package and its lines here."""

from __future__ import annotations

from types import TracebackType

from tracker.providers.base import AccountClient, ProviderError
from tracker.providers.fansly.accounts import FanslyAccount
from tracker.providers.fansly.webhooks import FanslyWebhooks
from tracker.providers.ofauth.accounts import OFAuthAccount
from tracker.providers.ofauth.client import Transport as OFAuthTransport
from tracker.providers.ofauth.webhooks import OFAuthWebhooks
from tracker.providers.onlyfansapi.accounts import OnlyFansApiAccount
from tracker.providers.onlyfansapi.client import Transport
from tracker.providers.onlyfansapi.webhooks import OnlyFansApiWebhooks
from tracker.providers.onlymonster.accounts import OnlymonsterAccount
from tracker.providers.onlymonster.client import Transport as OnlymonsterTransport
from tracker.providers.onlymonster.webhooks import OnlymonsterWebhooks
from tracker.providers.readings import WebhookReader
from tracker.settings import Settings

WEBHOOKS: dict[str, WebhookReader] = {
    "onlyfansapi": OnlyFansApiWebhooks(),
    "onlymonster": OnlymonsterWebhooks(),
    "ofauth": OFAuthWebhooks(),
    "fansly": FanslyWebhooks(),
}
PROVIDERS = frozenset(WEBHOOKS)


class Providers:
    """The process's connections to all providers; an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._onlyfansapi = Transport(settings.onlyfansapi_url, settings.provider_timeout)
        self._onlymonster = OnlymonsterTransport(settings.onlymonster_url, settings.provider_timeout)
        self._ofauth = OFAuthTransport(settings.ofauth_url, settings.provider_timeout)

    async def __aenter__(self) -> Providers:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        for transport in (self._onlyfansapi, self._onlymonster, self._ofauth):
            await transport.close()

    def account(self, provider: str, provider_account_id: str, api_key: str) -> AccountClient:
        """A client for one account. Raises ProviderError (ours) for a provider we do not have."""
        if provider == "onlyfansapi":
            return OnlyFansApiAccount(self._onlyfansapi, api_key, provider_account_id)
        if provider == "onlymonster":
            return OnlymonsterAccount(self._onlymonster, api_key, provider_account_id)
        if provider == "ofauth":
            return OFAuthAccount(self._ofauth, api_key, provider_account_id)
        if provider == "fansly":
            return FanslyAccount(self._onlyfansapi, api_key, provider_account_id)
        raise ProviderError("ours", f"There is no provider {provider!r}.")
