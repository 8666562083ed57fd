"""The formats of exports. An encoder is fed pages of rows and gives bytes; it never holds more than a page or a row group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from importlib import import_module
from typing import Any, NamedTuple, Protocol, cast

from tracker.exports.columns import Column

Row = Sequence[Any]
"""The values of a row, in the order of the columns."""


class Encoder(Protocol):
    """Makes one file. Used by one thread at a time; blocking, so run it off the event loop."""

    def add(self, rows: Sequence[Row]) -> bytes:
        """The next bytes of the file after these rows; may be b''."""
        ...

    def end(self) -> bytes:
        """The rest of the file."""
        ...

    def abandon(self) -> None:
        """Nobody wants the rest: free what is held. May be called at any time, also after `end`."""
        ...


class Format(NamedTuple):
    """A format by its file name's ending. `module` is loaded when first used: an idle api does not pay for it."""

    media_type: str
    module: str

    def encoder(self, title: str, columns: Sequence[Column], zone: tzinfo, zone_name: str, bom: bool) -> Encoder:
        """A new file's encoder. `title` names a sheet; `bom` is for CSV in Excel."""
        make = cast(Callable[..., Encoder], import_module(self.module).encoder)
        return make(title, columns, zone, zone_name, bom)


FORMATS = {
    "csv": Format("text/csv", "tracker.exports.csv_file"),
    "xlsx": Format("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "tracker.exports.xlsx_file"),
    "parquet": Format("application/vnd.apache.parquet", "tracker.exports.parquet_file"),
}
