"""Configuration: environment variables over an optional TOML file over the defaults below.

`CLICKBIND_CONFIG` names the TOML file; its keys are the field names here. Each field `x` is set by `CLICKBIND_X`
(`DATABASE_URL` and `REDIS_URL` are read without the prefix, as hosting platforms set them). `clickbind doctor` prints
what is in force. Everything is validated at start; a mistake is refused with the option's name and the fix.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import msgspec

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Days = Annotated[int, msgspec.Meta(ge=0, le=36500)]

UNPREFIXED = {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}


class ConfigurationError(Exception):
    """A setting is wrong. The message names the option and says how to mend it."""


def option(default: Any, help: str) -> Any:
    """A field with its default and its one-line documentation (shown by `clickbind doctor --options`)."""
    OPTION_HELP.append(help)
    return default


OPTION_HELP: list[str] = []


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All options of all roles. Durations are seconds unless the name says otherwise."""

    data_dir: str = option("clickbind-data", "Folder of the embedded stores, the spill and the secret key.")
    database_url: str = option("", "PostgreSQL URL. Empty: the embedded PostgreSQL under data_dir.")
    redis_url: str = option(
        "",
        "Valkey/Redis URL; redis-cluster://host:port,host:port for a cluster. Empty: the embedded Valkey under data_dir.",
    )
    secret_key: str = option("", "Seals credentials and hashes keys and visitors. Empty: kept in data_dir/secret.key.")
    old_secret_keys: tuple[str, ...] = option(
        (), "Previous secret keys, still accepted until `clickbind rotate-key` has re-sealed what they sealed."
    )

    public_url: str = option("", "Address fans use, e.g. https://go.example.com. Empty: http://edge_host:edge_port.")
    edge_host: str = option("127.0.0.1", "Interface the redirect edge listens on.")
    edge_port: Port = option(8400, "Port of the redirect edge.")
    edge_workers: Count = option(1, "Edge processes that `clickbind up` starts (they share edge_port).")
    edge_metrics_port: Port = option(
        8410, "With several edge workers: the first of the metrics ports they have each for itself, on metrics_host."
    )
    api_host: str = option("127.0.0.1", "Interface of the management API and the webhook inbox.")
    api_port: Port = option(8401, "Port of the management API and the webhook inbox.")
    metrics_host: str = option("127.0.0.1", "Interface of the recorder's and the worker's health and metrics ports.")
    recorder_port: Port = option(
        8402, "Port of a recorder's health and metrics. Taken, or 0: any free one, as its log says."
    )
    worker_port: Port = option(
        8403, "Port of a worker's health and metrics. Taken, or 0: any free one, as its log says."
    )
    health_addresses: tuple[str, ...] = option(
        (),
        "What the dashboard's health page asks, as role=http://host:port (edge, recorder, worker). Default: this machine's ports.",
    )
    public_api_url: str = option("", "Address providers reach the webhook inbox at. Empty: http://api_host:api_port.")
    rate_limit_minute: Annotated[int, msgspec.Meta(ge=0)] = option(
        5000, "Requests a minute one API key or dashboard session may make. 0: no limit."
    )
    session_seconds: Positive = option(7 * 86400.0, "Longest a dashboard session lasts.")
    session_idle_seconds: Positive = option(12 * 3600.0, "Longest a dashboard session lies idle before it ends.")
    trusted_proxies: tuple[str, ...] = option(
        (), "CIDRs whose X-Forwarded-For and CDN headers are believed. Default: nobody."
    )
    shards: Annotated[int, msgspec.Meta(ge=1, le=1024)] = option(4, "Click-log shards new accounts are spread over.")

    claim_timeout_ms: Annotated[int, msgspec.Meta(ge=5, le=5000)] = option(
        100, "Longest a click waits for its claim before the reserve link and the spill are used."
    )
    spill_dir: str = option("", "Where clicks are kept while Valkey is away. Empty: data_dir/spill.")
    visitor_cookie: str = option("cbv", "Name of the first-party visitor cookie.")

    mmdb_path: str = option("", "An operator's own MaxMind-format city or country database.")
    recorder_batch: Count = option(2000, "Log entries one recording transaction takes at most.")
    keep_alive_accounts: float = option(60.0, "Seconds between checks of an account's session.")

    onlyfansapi_url: str = option("https://app.onlyfansapi.com", "Base URL of OnlyFansAPI.")
    onlymonster_url: str = option("https://omapi.onlymonster.ai", "Base URL of Onlymonster.")
    ofauth_url: str = option("https://api.ofauth.com", "Base URL of OFAuth.")
    onlyautomator_url: str = option("https://onlyautomator.com", "Base URL of OnlyAutomator.")
    meta_url: str = option("https://graph.facebook.com", "Base URL of Meta's Graph API.")
    tiktok_url: str = option("https://business-api.tiktok.com", "Base URL of TikTok's Business API.")
    snapchat_url: str = option("https://tr.snapchat.com", "Base URL of Snapchat's Conversions API.")
    creatortraffic_url: str = option("https://ads.creatortraffic.com", "Base URL of CreatorTraffic.")
    platform_url: str = option("https://onlyfans.com", "Where tracking links and creator pages live.")
    fansly_url: str = option("https://fansly.com", "Where Fansly's tracking links and creator pages live.")
    egress_allow: tuple[str, ...] = option(
        (), "Private networks (CIDRs) deliveries may reach. Default: public addresses only."
    )

    pool_target: Count = option(50, "Fewest pooled links kept ready per pool that has an active smart link.")
    pool_max: Count = option(5000, "Most pooled links a pool grows to by itself when clicks need them.")
    pool_batch: Count = option(5, "Links created side by side when a pool is short.")
    transactions_poll: Positive = option(120.0, "Seconds between transaction polls of an account.")
    messages_poll: Positive = option(120.0, "Seconds between looks for messages where no webhook tells them.")
    messages_sweep: Positive = option(86400.0, "Seconds between sweeps for messages that webhooks should have told.")
    messages_budget: Count = option(
        30, "Provider calls one look for messages takes; ten times as many when many fans wait."
    )
    reconcile_poll: Positive = option(300.0, "Seconds between link reconciliations without a webhook.")
    reconcile_debounce: Positive = option(3.0, "Seconds a subscription webhook waits for others before links are read.")
    reconcile_retry: tuple[float, ...] = option(
        (15.0, 30.0, 60.0, 120.0, 300.0), "Seconds between looks for a new subscriber's link; then the fan is organic."
    )
    price_wait: Positive = option(300.0, "Longest a paid page's new_subscriber waits for its transaction.")
    provider_timeout: Positive = option(60.0, "Longest one provider call may take.")

    delivery_timeout: Positive = option(15.0, "Longest one delivery attempt may take in all.")
    delivery_schedule: tuple[float, ...] = option(
        (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 36000.0), "Seconds before each retry of a delivery."
    )
    idle_poll: Positive = option(0.5, "Seconds between looks for work when no wake-up came.")

    retention_clicks_days: Days = option(
        400, "Days clicks and visits are kept; those that credits rest on stay. At least 60. 0: for ever."
    )
    retention_prefetches_days: Days = option(60, "Days refused prefetches are kept. 0: for ever.")
    retention_deliveries_days: Days = option(180, "Days deliveries and the facts they told are kept. 0: for ever.")
    retention_attempts_days: Days = option(30, "Days requests and answers of delivery attempts are kept. 0: for ever.")
    retention_webhooks_days: Days = option(30, "Days webhooks are kept as they were received. 0: for ever.")
    retention_events_days: Days = option(
        400, "Days payments and messages of fans without a credit are kept. At least 60. 0: for ever."
    )
    retention_audit_days: Days = option(730, "Days the audit log is kept. 0: for ever.")
    anonymise_days: Days = option(
        7, "Days after the longest window until a click's IP is cut to its network and its user agent removed."
    )
    erasure_days: Annotated[float, msgspec.Meta(gt=0, le=60)] = option(
        7.0, "Days an erasure is repeated for what comes late, such as clicks from a spill."
    )

    log_level: Annotated[str, msgspec.Meta(pattern="^(debug|info|warning|error)$")] = option(
        "info", "debug, info, warning or error."
    )
    log_format: Annotated[str, msgspec.Meta(pattern="^(json|console)$")] = option("json", "json or console.")

    @property
    def service_urls(self) -> dict[str, str]:
        """Base URLs of outside services that deliveries go to, by the service's name."""
        names = (
            "onlyfansapi",
            "onlymonster",
            "ofauth",
            "onlyautomator",
            "meta",
            "tiktok",
            "snapchat",
            "creatortraffic",
        )
        return {name: getattr(self, f"{name}_url") for name in names}

    @property
    def data_path(self) -> Path:
        """data_dir as an absolute path."""
        return Path(self.data_dir).expanduser().absolute()

    @property
    def spill_path(self) -> Path:
        """Where the edge keeps clicks while Valkey is away."""
        return Path(self.spill_dir).expanduser().absolute() if self.spill_dir else self.data_path / "spill"

    @property
    def base_url(self) -> str:
        """The address of the edge as fans see it, without a trailing slash."""
        return self.public_url.rstrip("/") or f"http://{self.edge_host}:{self.edge_port}"

    @property
    def api_base_url(self) -> str:
        """The address of the api as providers see it, without a trailing slash."""
        return self.public_api_url.rstrip("/") or f"http://{self.api_host}:{self.api_port}"


def env_name(field: str) -> str:
    """The environment variable of a field."""
    return UNPREFIXED.get(field, "CLICKBIND_" + field.upper())


def as_environment(settings: Settings) -> dict[str, str]:
    """The environment that gives a child process these settings."""
    values = {}
    for field in Settings.__struct_fields__:
        value = getattr(settings, field)
        values[env_name(field)] = ",".join(str(part) for part in value) if isinstance(value, tuple) else str(value)
    return values


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings. Raises ConfigurationError naming the option, what is wrong with it and where it was set."""
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    config_path = environ.get("CLICKBIND_CONFIG")
    if config_path:
        values.update(_read_toml(Path(config_path)))
    hints = get_type_hints(Settings)
    for field in Settings.__struct_fields__:
        raw = environ.get(env_name(field))
        if raw is None:
            continue
        is_list = get_args(hints[field])[:1] in ((str,), (float,)) and get_args(hints[field])[-1] is Ellipsis
        values[field] = [part.strip() for part in raw.split(",") if part.strip()] if is_list else raw
    settings = _convert(values)
    _check(settings)
    return settings


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigurationError(f"CLICKBIND_CONFIG: cannot read {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"CLICKBIND_CONFIG: {path} is not valid TOML: {error}") from error
    unknown = sorted(set(values) - set(Settings.__struct_fields__))
    if unknown:
        raise ConfigurationError(f"{path}: unknown option {unknown[0]!r}; `clickbind doctor --options` lists them all")
    return values


def _convert(values: dict[str, Any]) -> Settings:
    hints = get_type_hints(Settings, include_extras=True)
    for field, value in values.items():
        try:
            msgspec.convert(value, hints[field], strict=False)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"{env_name(field)} (option {field}) is {value!r}: {error}") from error
    return msgspec.convert(values, Settings, strict=False)


def _check(settings: Settings) -> None:
    from tracker.stores.urls import cluster_url  # it needs this module

    for field in ("trusted_proxies", "egress_allow"):
        for cidr in getattr(settings, field):
            try:
                ipaddress.ip_network(cidr)
            except ValueError as error:
                raise ConfigurationError(f"{env_name(field)}: {error}; write networks like 10.0.0.0/8") from error
    for field in Settings.__struct_fields__:
        value = getattr(settings, field)
        if (
            field.endswith("_url")
            and field not in UNPREFIXED
            and value
            and not value.startswith(("http://", "https://"))
        ):
            raise ConfigurationError(f"{env_name(field)} is {value!r}: it must start with http:// or https://")
    for entry in settings.health_addresses:
        role, _, url = entry.partition("=")
        if role not in ("edge", "recorder", "worker") or not url.startswith(("http://", "https://")):
            raise ConfigurationError(
                f"{env_name('health_addresses')}: {entry!r} must look like edge=http://10.0.0.5:8400 (edge, recorder or worker)"
            )
    if settings.database_url and not settings.database_url.startswith(("postgresql://", "postgres://")):
        raise ConfigurationError("DATABASE_URL must look like postgresql://user:password@host/database")
    schemes = ("redis://", "rediss://", "unix://", "redis-cluster://", "rediss-cluster://")
    if settings.redis_url and not settings.redis_url.startswith(schemes):
        raise ConfigurationError(
            "REDIS_URL must look like redis://host:6379/0, unix:///path/valkey.sock or redis-cluster://host:6379,host:6379"
        )
    try:
        cluster_url(settings.redis_url)
    except ValueError as error:
        raise ConfigurationError(f"REDIS_URL: {error}") from error
    for field in ("retention_clicks_days", "retention_events_days"):
        if 0 < getattr(settings, field) < 60:
            raise ConfigurationError(
                f"{env_name(field)} must be 0 (for ever) or at least 60: a window lasts up to 30 days"
            )
    if settings.secret_key and len(settings.secret_key) < 32:
        raise ConfigurationError("CLICKBIND_SECRET_KEY is too short: use at least 32 random characters")
    if any(len(key) < 32 for key in settings.old_secret_keys):
        raise ConfigurationError("CLICKBIND_OLD_SECRET_KEYS: a key is too short: each has at least 32 characters")
    if settings.mmdb_path and not Path(settings.mmdb_path).is_file():
        raise ConfigurationError(f"CLICKBIND_MMDB_PATH: no file at {settings.mmdb_path}")
