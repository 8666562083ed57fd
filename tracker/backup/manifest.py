"""What a backup says of itself, and whether its files are still what was written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from tracker.stores.errors import StoreError

FORMAT = 1
NAME = "manifest.json"
CHUNK = 1 << 20


class File(msgspec.Struct, frozen=True):
    """One file of a backup: its size in bytes and its SHA-256."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`made_at`: UTC, when PostgreSQL's part was taken. `migrations`: of the schema. `tables`: rows by table.

    `keys`: Valkey keys by what they are. `key_id`: which secret key seals the credentials; it does not tell the key.
    """

    format: int
    clickbind: str
    made_at: str
    postgres: str
    valkey: str
    migrations: list[int]
    tables: dict[str, int]
    keys: dict[str, int]
    key_id: str
    files: dict[str, File]


def describe(folder: Path) -> dict[str, File]:
    """Every file below `folder` but the manifest, by its path in it."""
    return {
        path.relative_to(folder).as_posix(): _file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != NAME
    }


def write(folder: Path, manifest: Manifest) -> None:
    """Written last: a folder without it is no backup."""
    (folder / NAME).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def read(folder: Path) -> Manifest:
    """The manifest of a whole and undamaged backup. Raises StoreError saying what is wrong with it."""
    try:
        raw = (folder / NAME).read_bytes()
    except OSError as error:
        raise StoreError(f"{folder} is not a backup: it has no readable {NAME} ({error.strerror}).") from error
    try:
        found = msgspec.json.decode(raw, type=dict[str, object]).get("format")
        if found != FORMAT:
            raise StoreError(
                f"{folder} has backup format {found}; this version reads {FORMAT}. Use the version that made it."
            )
        return msgspec.json.decode(raw, type=Manifest)
    except msgspec.DecodeError as error:
        raise StoreError(f"{folder / NAME} is damaged: {error}") from error


def check(folder: Path, manifest: Manifest) -> None:
    """Hold every file against the manifest. Raises StoreError naming the first that differs."""
    for name, written in manifest.files.items():
        path = folder / name
        if folder.resolve() not in path.resolve().parents:
            raise StoreError(f"{folder / NAME} names a file outside the backup: {name}")
        if not path.is_file():
            raise StoreError(f"The backup is not whole: {name} is missing.")
        found = _file(path)
        if found != written:
            raise StoreError(
                f"The backup is damaged: {name} has {found.size} bytes and checksum {found.sha256[:12]}…,"
                f" was written with {written.size} and {written.sha256[:12]}…."
            )


def _file(path: Path) -> File:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return File(size, digest.hexdigest())
