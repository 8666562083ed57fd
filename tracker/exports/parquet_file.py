"""Parquet, written by arro3 (Rust's arrow and parquet, 12 MB where pyarrow takes 150): a row group at a time.

Its writer pulls batches and pushes bytes, and runs until the file is done; so it gets a thread of its own, which waits
while no rows are there. Text is stored as it is: nothing that reads Parquet runs formulas.
"""

from __future__ import annotations

import io
import queue
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from typing import IO, Any, cast

import arro3.core as arrow
from arro3.io import write_parquet

from tracker.exports.cells import dollars
from tracker.exports.columns import Column, Type
from tracker.exports.formats import Row

ROW_GROUP = 20_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Sink(io.RawIOBase):
    """Gathers what the writer writes. It must never raise: the writer would panic."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.wanted = True

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.wanted:
            self._data += data
        return len(data)

    def taken(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


class ParquetEncoder:
    """One Parquet file."""

    def __init__(self, columns: Sequence[Column], zone_name: str) -> None:
        self._columns = columns
        self._types = [_arrow_type(column.type, zone_name) for column in columns]
        self._schema = arrow.Schema(
            [arrow.Field(column.name, kind, nullable=True) for column, kind in zip(columns, self._types, strict=True)]
        )
        self._sink = _Sink()
        self._pages: queue.SimpleQueue[Sequence[Row] | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._failure: BaseException | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="parquet", daemon=True)
        self._thread.start()
        self._idle.acquire()
        if self._failure is not None:
            raise self._failure

    def add(self, rows: Sequence[Row]) -> bytes:
        """The bytes of the row groups that are full."""
        if rows:
            self._pages.put(rows)
            self._idle.acquire()
            if self._failure is not None:
                raise self._failure
        return self._sink.taken()

    def end(self) -> bytes:
        """The last row group and the footer."""
        self._stop()
        if self._failure is not None:
            raise self._failure
        return self._sink.taken()

    def abandon(self) -> None:
        """The writer is told that this was all, and what it still writes is dropped."""
        self._sink.wanted = False
        self._stop()

    def _stop(self) -> None:
        if not self._ended:
            self._ended = True
            self._pages.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            reader = arrow.RecordBatchReader.from_batches(self._schema, self._batches())
            write_parquet(
                reader,
                cast(IO[bytes], self._sink),
                compression="zstd(1)",
                max_row_group_size=ROW_GROUP,
            )
        except BaseException as error:
            self._failure = error
        finally:
            self._idle.release()

    def _batches(self) -> Iterator[arrow.RecordBatch]:
        while True:
            self._idle.release()
            rows = self._pages.get()
            if rows is None:
                return
            columns = zip(*rows, strict=True)
            arrays = [
                _array(column.type, kind, values)
                for column, kind, values in zip(self._columns, self._types, columns, strict=True)
            ]
            yield arrow.RecordBatch.from_arrays(arrays, schema=self._schema)


def _arrow_type(kind: Type, zone_name: str) -> arrow.DataType:
    match kind:
        case Type.TEXT:
            return arrow.DataType.utf8()
        case Type.INTEGER:
            return arrow.DataType.int64()
        case Type.NUMBER:
            return arrow.DataType.float64()
        case Type.MONEY:
            return arrow.DataType.decimal128(18, 2)
        case Type.TIME:
            return arrow.DataType.timestamp("us", tz=zone_name)
        case Type.BOOLEAN:
            return arrow.DataType.bool()


def _array(kind: Type, arrow_type: arrow.DataType, values: Sequence[Any]) -> arrow.Array:
    if kind is Type.TIME:
        micros = [None if at is None else round((at - _EPOCH).total_seconds() * 1_000_000) for at in values]
        return arrow.Array(micros, arrow.DataType.int64()).cast(arrow_type)
    if kind is Type.MONEY:
        amounts = [None if cents is None else dollars(cents) for cents in values]
        return arrow.Array(amounts, arrow.DataType.utf8()).cast(arrow_type)
    return arrow.Array(values, arrow_type)


def encoder(title: str, columns: Sequence[Column], zone: tzinfo, zone_name: str, bom: bool) -> ParquetEncoder:
    """See `formats.Format.encoder`."""
    return ParquetEncoder(columns, zone_name)
