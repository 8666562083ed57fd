"""Which providers there are. A new one is its package and its lines here."""

from __future__ import annotations

from types import TracebackType

from tracker.providers.base import AccountClient, ProviderError, WebhookReader
from tracker.providers.onlyfansapi.accounts import OnlyFansApiAccount
from tracker.providers.onlyfansapi.client import Transport
from tracker.providers.onlyfansapi.webhooks import OnlyFansApiWebhooks
from tracker.settings import Settings

WEBHOOKS: dict[str, WebhookReader] = {"onlyfansapi": OnlyFansApiWebhooks()}
PROVIDERS = frozenset(WEBHOOKS)


class Providers:
    """The process's connections to all providers; an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._onlyfansapi = Transport(settings.onlyfansapi_url, settings.provider_timeout)

    async def __aenter__(self) -> Providers:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._onlyfansapi.close()

    def account(self, provider: str, provider_account_id: str, api_key: str) -> AccountClient:
        """A client for one account. Raises ProviderError (ours) for a provider we do not have."""
        if provider == "onlyfansapi":
            return OnlyFansApiAccount(self._onlyfansapi, api_key, provider_account_id)
        raise ProviderError("ours", f"There is no provider {provider!r}.")
