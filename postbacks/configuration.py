"""How a dispatcher is set up."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from postbacks.breaker import BreakerPolicy
from postbacks.destinations import registry
from postbacks.destinations.base import Destination
from postbacks.queue import Row
from postbacks.retry import RetryPolicy
from postbacks.schema import ConfigError


class DispatcherConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How to dispatch. Durations are seconds.

    timeout: for one attempt in all. retry, breaker: see there. egress_allow: CIDRs of private networks deliveries may
    reach. idle_poll: between looks for work without a wake-up. concurrency: requests under way per destination;
    most_in_flight: in all. lease_margin: added to twice the timeout, it is the lease; it covers settling an attempt.
    unseal: turns a destination's sealed secrets into a JSON object of texts; called with its id. base_urls: where outside
    APIs are, by the name of the service, when not at their usual place. observe: told of every attempt: the kind of
    destination, the outcome of each event, the seconds it took.
    """

    timeout: float = 15.0
    retry: RetryPolicy = RetryPolicy()
    breaker: BreakerPolicy = BreakerPolicy()
    egress_allow: tuple[str, ...] = ()
    idle_poll: float = 0.5
    concurrency: int = 8
    most_in_flight: int = 1024
    lease_margin: float = 20.0
    unseal: Callable[[str, bytes], bytes] | None = None
    base_urls: Mapping[str, str] = {}
    observe: Callable[[str, list[str], float], None] | None = None

    @property
    def lease_seconds(self) -> float:
        """How long a claimed delivery is ours: time to wait for a slot, to be tried, and to be settled."""
        return 2 * self.timeout + self.lease_margin

    def destination(self, row: Row) -> Destination:
        """A stored destination, with its secrets unsealed. Raises ConfigError naming the field."""
        secrets: dict[str, str] = {}
        if row.secrets_sealed is not None:
            if self.unseal is None:
                raise ConfigError("secrets", "this dispatcher has no key to unseal secrets with")
            try:
                opened = self.unseal(row.destination_id, row.secrets_sealed)
                secrets = msgspec.json.decode(opened, type=dict[str, str])
            except Exception as error:
                raise ConfigError(
                    "secrets", f"cannot be unsealed ({type(error).__name__}): enter them again"
                ) from error
        return registry.load(row.kind, msgspec.json.decode(row.config), secrets, self.base_urls)
