"""Conversion ids: derived from what the conversion is, so they never depend on order or source (spec 11)."""

from __future__ import annotations

import base64
import hashlib

_TO_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghjkmnpqrstvwxyz")
_PER_FAN = frozenset({"new_subscriber", "fan_sent_1_message", "fan_sent_3_messages"})


def conversion_id(account_id: str, fan_id: str, conversion_type: str, identity: str) -> str:
    """26 characters in the alphabet of ULIDs: the first 130 bits of a digest of type and identity.

    A subscription's or a counter's identity includes the fan; a transaction's or message's own id is enough.
    """
    fan = fan_id if conversion_type in _PER_FAN else ""
    digest = hashlib.sha256("\x1f".join((conversion_type, account_id, fan, identity)).encode()).digest()
    return base64.b32encode(digest[:20])[:26].translate(_TO_CROCKFORD).decode()
