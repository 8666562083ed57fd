"""Sealing of credentials at rest and keyed hashes, all derived from one installation key.

The key may be replaced (`clickbind rotate-key`): values sealed under previous keys still open while those are configured.
A sealed value is `version byte | key id (4 bytes) | nonce (12) | AES-256-GCM ciphertext`; its context (table, row, column) is
authenticated, so a value copied to another row does not open.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets as random
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tracker.settings import ConfigurationError, Settings

_VERSION = b"\x01"


class SealError(Exception):
    """A sealed value does not open: another key, another row, or damage."""


class Secrets:
    """Derives purpose-bound keys from the installation key and seals values with them.

    `previous`: earlier installation keys, whose sealed values still open.
    """

    def __init__(self, key: str, previous: Iterable[str] = ()) -> None:
        self._root = _root(key)
        self.key_id = _key_id(self._root)
        self._aead = AESGCM(_derive(self._root, "seal"))
        self._aeads = {_key_id(root): AESGCM(_derive(root, "seal")) for root in map(_root, previous)}
        self._aeads[self.key_id] = self._aead
        self._hash_key = self.derive("api key")

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose; independent of every other purpose's."""
        return _derive(self._root, purpose)

    def seal(self, value: bytes, context: str) -> bytes:
        """Encrypt `value` for the place `context` names, e.g. 'account:acct_1:api_key'."""
        nonce = os.urandom(12)
        return _VERSION + self.key_id + nonce + self._aead.encrypt(nonce, value, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """The value sealed for `context`. Raises SealError without saying anything of the value."""
        if sealed[:1] != _VERSION or len(sealed) < 17:
            raise SealError(f"{context}: not a sealed value of this version")
        aead = self._aeads.get(sealed[1:5])
        if aead is None:
            raise SealError(
                f"{context}: sealed under another CLICKBIND_SECRET_KEY; restore that key, or list it in CLICKBIND_OLD_SECRET_KEYS"
            )
        try:
            return aead.decrypt(sealed[5:17], sealed[17:], context.encode())
        except InvalidTag as error:
            raise SealError(f"{context}: damaged, or moved from another row") from error

    def is_current(self, sealed: bytes) -> bool:
        """Whether a value is sealed under the current key."""
        return sealed[:5] == _VERSION + self.key_id

    @property
    def hash_key(self) -> bytes:
        """The key of `key_hash`: the first installation key's, whichever key is current (`tracker/rotation.py`)."""
        return self._hash_key

    def use_hash_key(self, hash_key: bytes) -> None:
        """Hash with the installation's stored key from now on, so that API keys outlive a change of the secret key."""
        self._hash_key = hash_key

    def key_hash(self, api_key: str) -> bytes:
        """What is stored of an API key."""
        return hmac.digest(self._hash_key, api_key.encode(), "sha256")


def _root(key: str) -> bytes:
    return hashlib.sha256(b"clickbind root " + key.encode()).digest()


def _derive(root: bytes, purpose: str) -> bytes:
    return hmac.digest(root, purpose.encode(), "sha256")


def _key_id(root: bytes) -> bytes:
    return _derive(root, "key id")[:4]


def installation_secrets(settings: Settings) -> Secrets:
    """The secrets of this installation: the current key, and the previous ones it is told of. Raises ConfigurationError."""
    return Secrets(installation_key(settings), settings.old_secret_keys)


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
