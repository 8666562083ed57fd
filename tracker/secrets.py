"""Sealing of credentials at rest and keyed hashes, all derived from one installation key.

A sealed value is `version byte | key id (4 bytes) | nonce (12) | AES-256-GCM ciphertext`; its context (table, row, column) is
authenticated, so a value copied to another row does not open.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets as random
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tracker.settings import ConfigurationError, Settings

_VERSION = b"\x01"


class SealError(Exception):
    """A sealed value does not open: another key, another row, or damage."""


class Secrets:
    """Derives purpose-bound keys from the installation key and seals values with them."""

    def __init__(self, key: str) -> None:
        self._root = hashlib.sha256(b"clickbind root " + key.encode()).digest()
        self._key_id = self.derive("key id")[:4]
        self._aead = AESGCM(self.derive("seal"))

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose; independent of every other purpose's."""
        return hmac.digest(self._root, purpose.encode(), "sha256")

    def seal(self, value: bytes, context: str) -> bytes:
        """Encrypt `value` for the place `context` names, e.g. 'account:acct_1:api_key'."""
        nonce = os.urandom(12)
        return _VERSION + self._key_id + nonce + self._aead.encrypt(nonce, value, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """The value sealed for `context`. Raises SealError without saying anything of the value."""
        if sealed[:1] != _VERSION or len(sealed) < 17:
            raise SealError(f"{context}: not a sealed value of this version")
        if sealed[1:5] != self._key_id:
            raise SealError(f"{context}: sealed under another CLICKBIND_SECRET_KEY; restore that key")
        try:
            return self._aead.decrypt(sealed[5:17], sealed[17:], context.encode())
        except InvalidTag as error:
            raise SealError(f"{context}: damaged, or moved from another row") from error

    def key_hash(self, api_key: str) -> bytes:
        """What is stored of an API key."""
        return hmac.digest(self.derive("api key"), api_key.encode(), "sha256")


def installation_key(settings: Settings) -> str:
    """The configured key, or the one kept in the data folder (made on first use, mode 0600).

    Raises ConfigurationError when the folder cannot keep one.
    """
    if settings.secret_key:
        return settings.secret_key
    path = settings.data_path / "secret.key"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ConfigurationError(f"Cannot read {path}: {error.strerror}. Set CLICKBIND_SECRET_KEY instead.") from error
    return _make_key(path)


def _make_key(path: Path) -> str:
    key = random.token_urlsafe(48)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        staged = path.with_name(f"secret.key.{os.getpid()}")
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(key + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(staged, path)  # the first of several processes wins, and all read its key
        except FileExistsError:
            pass
        staged.unlink()
        return path.read_text().strip()
    except OSError as error:
        raise ConfigurationError(
            f"Cannot keep a secret key at {path}: {error.strerror}. Set CLICKBIND_SECRET_KEY or CLICKBIND_DATA_DIR."
        ) from error
