"""The providers as a person connects an account through them: what to fetch there, what to enter there, which webhooks to switch on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProviderForm:
    """A provider. `steps`: where its id and key are found. `told`: what to switch on for its webhooks.

    `own_secret`: the provider makes the webhooks' secret and shows it once the address is entered there; else it takes ours.
    `imports`: it makes no links, so those named for import fill the pools.
    """

    provider: str
    title: str
    summary: str
    reference: str
    reference_hint: str
    key: str
    steps: tuple[str, ...]
    where: str
    told: tuple[str, ...]
    own_secret: bool = False
    imports: bool = False


_ALL = (
    ProviderForm(
        "onlyfansapi",
        "OnlyFansAPI",
        "OnlyFans accounts; makes links by itself and tells of subscribers within seconds",
        "Account id",
        "Begins with acct_.",
        "API key",
        (
            "Open the console at app.onlyfansapi.com and connect the creator's account there, if that is not done.",
            "Under Accounts, copy its id: it begins with acct_.",
            "Under API keys, make a key for Clickbind and copy it.",
        ),
        "In the console, under Webhooks, add a webhook with this address and signing secret.",
        (
            "subscriptions.new", "subscriptions.renewed", "transactions.new", "messages.received", "tips.received",
            "messages.ppv.unlocked", "every event that begins with accounts.",
        ),
    ),
    ProviderForm(
        "onlymonster",
        "Onlymonster",
        "OnlyFans accounts; its links are made on the platform and found here by their name",
        "Account id",
        "Onlymonster's number of the account, or the creator's number on OnlyFans.",
        "API token",
        (
            "In Onlymonster, open the creator's account and copy its number from the address.",
            "Under Settings, API, make a token for Clickbind and copy it.",
            "On OnlyFans, make tracking or trial links whose names all begin with one word, such as clickbind: they fill the pools.",
        ),
        "In Onlymonster, under Integrations, add a webhook with this address. It may take a minute to become active.",
        ("chat.message", "fans.subscription.new_subscriber", "fans.tip.received", "fans.ppv.purchased"),
        own_secret=True,
        imports=True,
    ),
    ProviderForm(
        "ofauth",
        "OFAuth",
        "OnlyFans accounts; subscribers and payments are asked for every few minutes",
        "Connection id",
        "Begins with conn_.",
        "API key",
        (
            "In OFAuth's dashboard, open the creator's connection and copy its id: it begins with conn_.",
            "Under API keys, make a key for Clickbind and copy it.",
        ),
        "In OFAuth's dashboard, under Webhooks, add an endpoint with this address.",
        ("connection.created", "connection.updated", "connection.expired", "realtime events of chats, if offered"),
        own_secret=True,
    ),
    ProviderForm(
        "fansly",
        "Fansly, through OnlyFansAPI",
        "Fansly accounts (a closed beta of the vendor); which link a fan came by is inferred from its counters",
        "Account id",
        "Begins with fansly_acct_.",
        "API key",
        (
            "Open the console at app.onlyfansapi.com and connect the creator's Fansly account there.",
            "Under Accounts, copy its id: it begins with fansly_acct_.",
            "Under API keys, make a key for Clickbind and copy it.",
        ),
        "In the console, under Webhooks, add a webhook with this address and signing secret.",
        (
            "fansly.subscriptions.new", "fansly.subscriptions.renewed", "fansly.transactions.new", "fansly.messages.received",
            "fansly.tips.received", "fansly.media.purchased", "every event that begins with fansly.accounts.",
        ),
    ),
)  # fmt: skip
FORMS = {one.provider: one for one in _ALL}
