"""How `clickbind up` replaces a process that serves, without a refused or reset connection.

The supervisor opens the listening socket once and hands it to every process that serves it: a connection waits in that
socket's queue whoever comes and goes. A successor says over a pipe that it serves; only then is its predecessor told to stop.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from tracker.stores.errors import StoreError

LISTEN_FD = "CLICKBIND_LISTEN_FD"
READY_FD = "CLICKBIND_READY_FD"


def open_listener(host: str, port: int, option: str) -> socket.socket:
    """A listening address other processes may share. Raises StoreError naming it and `option` when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StoreError(
            f"Cannot listen on {host}:{port}: {error.strerror}. Set {option}_HOST or {option}_PORT."
        ) from error
    listener.setblocking(False)
    return listener


def inherited_listener(environ: Mapping[str, str] | None = None) -> socket.socket | None:
    """The listening socket our supervisor handed us, or None when we are on our own."""
    number = (os.environ if environ is None else environ).get(LISTEN_FD, "")
    if not number.isdecimal():
        return None
    listener = socket.socket(fileno=int(number))
    listener.setblocking(False)
    return listener


def tell_ready(environ: Mapping[str, str] | None = None) -> None:
    """Tell our supervisor, if it waits for it, that we serve."""
    number = (os.environ if environ is None else environ).get(READY_FD, "")
    if not number.isdecimal():
        return
    try:
        os.write(int(number), b"1")
        os.close(int(number))
    except OSError:
        return  # it no longer waits
