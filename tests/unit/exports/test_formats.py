"""The three formats, read back by other people's readers."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import arro3.io
import openpyxl
import pytest
from openpyxl.utils.escape import unescape

from tracker.exports.columns import Column, Type
from tracker.exports.formats import FORMATS, Encoder
from tracker.exports.xlsx_file import XlsxEncoder

COLUMNS = (
    Column("name", Type.TEXT),
    Column("count", Type.INTEGER),
    Column("chance", Type.NUMBER),
    Column("amount", Type.MONEY),
    Column("at", Type.TIME),
    Column("bot", Type.BOOLEAN),
    Column("cursor", Type.TEXT),
)
AT = datetime(2026, 3, 29, 0, 59, 59, 250000, tzinfo=UTC)
ROWS = [
    ("=cmd()", 3, 0.25, -1234, AT, True, "c1"),
    ('Line\nbreak, "quoted" <b>&amp; _x0041_ é', None, None, None, None, None, "c2"),
    (None, 2**53, 1.0, 5, AT, False, "c3"),
]


def encoder(name: str, zone: tzinfo = UTC, zone_name: str = "UTC", bom: bool = False) -> Encoder:
    return FORMATS[name].encoder("Clicks", COLUMNS, zone, zone_name, bom)


def written(name: str, pages: list[list[Any]], **options: Any) -> bytes:
    one = encoder(name, **options)
    return b"".join([*[one.add(page) for page in pages], one.end()])


def test_csv() -> None:
    data = written("csv", [ROWS[:2], ROWS[2:]])
    header, *lines = list(csv.reader(io.StringIO(data.decode(), newline="")))
    assert header == [column.name for column in COLUMNS]
    assert lines[0] == ["'=cmd()", "3", "0.25", "-12.34", "2026-03-29T00:59:59.250Z", "true", "c1"]
    assert lines[1] == ['Line\nbreak, "quoted" <b>&amp; _x0041_ é', "", "", "", "", "", "c2"]
    assert lines[2][3] == "0.05"
    assert data.endswith(b"\r\n")
    assert not data.startswith(b"\xef\xbb\xbf")
    assert written("csv", [], bom=True) == b"\xef\xbb\xbfname,count,chance,amount,at,bot,cursor\r\n"


def test_xlsx() -> None:
    data = written("xlsx", [ROWS[:2], ROWS[2:]], zone=ZoneInfo("Europe/Berlin"), zone_name="Europe/Berlin")
    sheet = openpyxl.load_workbook(io.BytesIO(data))["Clicks"]
    header, *rows = [list(row) for row in sheet.iter_rows(values_only=True)]
    assert header == ["name", "count", "chance", "amount", "at (Europe/Berlin)", "bot", "cursor"]
    assert rows[0] == ["'=cmd()", 3, 0.25, -12.34, datetime(2026, 3, 29, 1, 59, 59, 250000), True, "c1"]  # noqa: DTZ001
    assert [unescape(rows[1][0]), *rows[1][1:]] == [*ROWS[1]], "what looks like an escape is escaped"
    assert rows[2][:4] == [None, 2**53, 1, 0.05]
    assert not any(cell.data_type == "f" for line in sheet.iter_rows() for cell in line)


def test_a_full_sheet_is_followed_by_another() -> None:
    one = XlsxEncoder("Clicks", COLUMNS, UTC, "UTC", most_rows=3)
    book = openpyxl.load_workbook(io.BytesIO(one.add(ROWS + ROWS[:2]) + one.end()))
    assert book.sheetnames == ["Clicks", "Clicks 2", "Clicks 3"]
    read = [[row[-1] for row in sheet.iter_rows(values_only=True, min_row=2)] for sheet in book]
    assert read == [["c1", "c2"], ["c3", "c1"], ["c2"]]


def test_an_empty_workbook_opens() -> None:
    sheet = openpyxl.load_workbook(io.BytesIO(written("xlsx", [])))["Clicks"]
    assert sheet.max_row == 1


def test_the_first_bytes_of_a_workbook_come_early() -> None:
    one = encoder("xlsx")
    # Lines of which no two are alike: what can be compressed away is not a byte early.
    early = one.add(
        [(f"{n * 7919 % 1_000_003:x}{n * 104729 % 999_983:x}", n, n / 7, n, AT, True, f"{n:x}") for n in range(5000)]
    )
    assert len(early) > 10_000
    one.abandon()


def test_parquet() -> None:
    data = written("parquet", [ROWS[:2], ROWS[2:]], zone=ZoneInfo("Europe/Berlin"), zone_name="Europe/Berlin")
    table = arro3.io.read_parquet(io.BytesIO(data)).read_all()
    assert table.num_rows == 3
    columns = {name: table[name].to_pylist() for name in table.column_names}
    assert columns["name"] == ["=cmd()", ROWS[1][0], None], "nothing that reads Parquet runs formulas"
    assert columns["count"] == [3, None, 2**53]
    assert columns["amount"] == [Decimal("-12.34"), None, Decimal("0.05")]
    assert columns["at"][0] == AT
    assert columns["bot"] == [True, None, False]
    assert table.schema.field("at").type.tz == "Europe/Berlin"


def test_an_empty_parquet_file_has_its_columns() -> None:
    table = arro3.io.read_parquet(io.BytesIO(written("parquet", []))).read_all()
    assert (table.num_rows, table.column_names) == (0, [column.name for column in COLUMNS])


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("pages", [0, 1, 30])
def test_an_export_can_be_abandoned_at_any_time(name: str, pages: int) -> None:
    one = encoder(name)
    for _ in range(pages):
        one.add(ROWS * 300)
    one.abandon()
    one.abandon()


def test_a_workbook_is_a_sound_archive() -> None:
    with zipfile.ZipFile(io.BytesIO(written("xlsx", [ROWS]))) as archive:
        assert archive.testzip() is None
