"""CSV as RFC 4180 has it: UTF-8, commas, CRLF, a header. A byte order mark only when asked for: it breaks most readers but Excel."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Any

from tracker.exports.cells import defused, dollars, moment
from tracker.exports.columns import Column, Type
from tracker.exports.formats import Row


class CsvEncoder:
    """One CSV file."""

    def __init__(self, columns: Sequence[Column], zone: tzinfo, bom: bool) -> None:
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text, lineterminator="\r\n")
        self._cells = [_cell(column.type, zone) for column in columns]
        if bom:
            self._text.write("\ufeff")
        self._writer.writerow([column.name for column in columns])

    def add(self, rows: Sequence[Row]) -> bytes:
        """The rows as lines."""
        for row in rows:
            self._writer.writerow(
                ["" if value is None else cell(value) for cell, value in zip(self._cells, row, strict=True)]
            )
        return self._taken()

    def end(self) -> bytes:
        """The header, when no row came."""
        return self._taken()

    def abandon(self) -> None:
        """Nothing is held."""

    def _taken(self) -> bytes:
        data = self._text.getvalue().encode()
        self._text.seek(0)
        self._text.truncate()
        return data


def _cell(kind: Type, zone: tzinfo) -> Callable[[Any], str]:
    match kind:
        case Type.TEXT:
            return defused
        case Type.MONEY:
            return dollars
        case Type.TIME:
            return lambda at: moment(at, zone)
        case Type.BOOLEAN:
            return lambda value: "true" if value else "false"
        case _:
            return str


def encoder(title: str, columns: Sequence[Column], zone: tzinfo, zone_name: str, bom: bool) -> CsvEncoder:
    """See `formats.Format.encoder`."""
    return CsvEncoder(columns, zone, bom)
