"""Every kind of destination there is: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from postbacks.destinations import (
    creatortraffic,
    meta,
    onlyautomator,
    onlyfans_list,
    onlyfans_note,
    postback,
    snapchat,
    tiktok,
    webhook,
    welcome_message,
)
from postbacks.destinations.base import Destination, Kind
from postbacks.schema import ConfigError

KINDS: dict[str, Kind] = {
    "postback": postback.KIND,
    "meta": meta.KIND,
    "tiktok": tiktok.KIND,
    "snapchat": snapchat.KIND,
    "creatortraffic": creatortraffic.KIND,
    "onlyfans_list": onlyfans_list.KIND,
    "onlyfans_note": onlyfans_note.KIND,
    "onlyautomator": onlyautomator.KIND,
    "ofauth_message": welcome_message.KIND_OFAUTH,
    "onlymonster_message": welcome_message.KIND_ONLYMONSTER,
    "webhook": webhook.KIND,
}


def load(
    kind: str,
    config: Mapping[str, Any],
    secrets: Mapping[str, str] | None = None,
    base_urls: Mapping[str, str] | None = None,
) -> Destination:
    """Validate a configuration and build the destination. Raises ConfigError naming the field (`kind` if unknown).

    `base_urls`: where outside APIs are, by the name of the service, when not at their usual place.
    """
    if kind not in KINDS:
        raise ConfigError("kind", f"unknown kind {kind!r}: use one of {', '.join(sorted(KINDS))}")
    found = KINDS[kind]
    if found.service is None:
        return found.load(config, secrets or {})
    return found.load(config, secrets or {}, (base_urls or {}).get(found.service.name, found.service.url).rstrip("/"))
