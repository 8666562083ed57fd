"""XLSX (ECMA-376), written as a stream: the first bytes leave with the first page, and nothing is kept on disk.

The libraries that write XLSX gather the whole sheet, in memory or in temporary files, before the first byte of the archive; an
export of a million clicks would leave its reader waiting for minutes. The part of the format a plain table needs is small.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from html import escape
from typing import IO, Any

from tracker.exports.cells import defused, dollars
from tracker.exports.columns import Column, Type
from tracker.exports.formats import Row

MOST_ROWS = 1_048_576  # of a sheet, by Excel's limits; the header is one of them
LONGEST_TEXT = 32_767  # characters of a cell, likewise
_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001
_ESCAPED = re.compile(r"_(?=x[0-9a-fA-F]{4}_)")
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PARTS = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
# Cell formats by their place: 0 plain, 1 bold (header), 2 money, 3 time.
_STYLES = (
    f'{_HEAD}<styleSheet xmlns="{_MAIN}"><numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss.000"/>'
    '</numFmts><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/>'
    '</font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/>'
    '</fill></fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="4">'
    '<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>'
    '<xf numFmtId="2" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)


class _Pipe(io.RawIOBase):
    """Gathers what the archive writes until it is taken. Not seekable, so the archive describes each part behind it."""

    def __init__(self) -> None:
        self._data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._data += data
        return len(data)

    def taken(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


class XlsxEncoder:
    """One workbook; a sheet that is full is followed by another."""

    def __init__(self, title: str, columns: Sequence[Column], zone: tzinfo, zone_name: str, most_rows: int) -> None:
        self._title, self._most_rows = title, most_rows
        self._cells = [_cell(column.type, zone) for column in columns]
        names = [f"{column.name} ({zone_name})" if column.type is Type.TIME else column.name for column in columns]
        header = "".join(f'<c s="1" t="inlineStr"><is><t>{escape(name)}</t></is></c>' for name in names)
        self._header = f"<row>{header}</row>".encode()
        self._pipe = _Pipe()
        self._archive = zipfile.ZipFile(self._pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._sheet: IO[bytes] | None = None
        self._sheets = 0
        self._rows = 0

    def add(self, rows: Sequence[Row]) -> bytes:
        """The rows, as far as they are compressed."""
        for start in range(0, len(rows), 500):
            lines: list[str] = []
            for row in rows[start : start + 500]:
                if self._sheet is None or self._rows + len(lines) >= self._most_rows:
                    self._write(lines)
                    lines = []
                    self._begin()
                lines.append(
                    "<row>"
                    + "".join(
                        ["<c/>" if value is None else cell(value) for cell, value in zip(self._cells, row, strict=True)]
                    )
                    + "</row>"
                )
            self._write(lines)
        return self._pipe.taken()

    def end(self) -> bytes:
        """The last sheet's end and the parts that name the sheets."""
        if self._sheet is None:
            self._begin()
        self._finish()
        numbers = range(1, self._sheets + 1)
        overrides = "".join(
            f'<Override PartName="/xl/worksheets/sheet{number}.xml" ContentType="{_TYPE}.worksheet+xml"/>'
            for number in numbers
        )
        sheets = "".join(
            f'<sheet name="{self._name(number)}" sheetId="{number}" r:id="rId{number}"/>' for number in numbers
        )
        links = "".join(
            f'<Relationship Id="rId{number}" Type="{_LINKS}/worksheet" Target="worksheets/sheet{number}.xml"/>'
            for number in numbers
        )
        parts = {
            "xl/styles.xml": _STYLES,
            "xl/workbook.xml": f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_LINKS}"><sheets>{sheets}</sheets></workbook>',
            "xl/_rels/workbook.xml.rels": f'{_HEAD}<Relationships xmlns="{_PARTS}/relationships">{links}<Relationship'
            f' Id="rId{self._sheets + 1}" Type="{_LINKS}/styles" Target="styles.xml"/></Relationships>',
            "_rels/.rels": f'{_HEAD}<Relationships xmlns="{_PARTS}/relationships"><Relationship Id="rId1"'
            f' Type="{_LINKS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            "[Content_Types].xml": f'{_HEAD}<Types xmlns="{_PARTS}/content-types"><Default Extension="rels"'
            ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml"'
            f' ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
            f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>{overrides}</Types>',
        }
        for name, text in parts.items():
            self._archive.writestr(name, text)
        self._archive.close()
        return self._pipe.taken()

    def abandon(self) -> None:
        """Closed without caring for the file, or the archive would complain when it is collected."""
        if self._sheet is not None:
            self._sheet.close()
            self._sheet = None
        self._archive.close()
        self._pipe.taken()

    def _write(self, lines: list[str]) -> None:
        if lines:
            assert self._sheet is not None
            self._sheet.write("".join(lines).encode())
            self._rows += len(lines)

    def _begin(self) -> None:
        self._finish()
        self._sheets += 1
        self._sheet = self._archive.open(f"xl/worksheets/sheet{self._sheets}.xml", "w", force_zip64=True)
        head = f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2"'
        self._sheet.write(
            f'{head} activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>'.encode()
        )
        self._sheet.write(self._header)
        self._rows = 1

    def _finish(self) -> None:
        if self._sheet is not None:
            self._sheet.write(b"</sheetData></worksheet>")
            self._sheet.close()
            self._sheet = None

    def _name(self, number: int) -> str:
        return escape(self._title if number == 1 else f"{self._title} {number}")


def _cell(kind: Type, zone: tzinfo) -> Callable[[Any], str]:
    match kind:
        case Type.TEXT:
            return _text
        case Type.MONEY:
            return lambda cents: f'<c s="2"><v>{dollars(cents)}</v></c>'
        case Type.TIME:
            return lambda at: f'<c s="3"><v>{_serial(at.astimezone(zone).replace(tzinfo=None))}</v></c>'
        case Type.BOOLEAN:
            return lambda value: f'<c t="b"><v>{int(value)}</v></c>'
        case _:
            return lambda value: f"<c><v>{value}</v></c>"


def _text(text: str) -> str:
    text = _ESCAPED.sub("_x005F_", defused(text)[:LONGEST_TEXT])
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(text, quote=False)}</t></is></c>'


def _serial(at: datetime) -> str:
    since = at - _EPOCH
    return f"{since.days + (since.seconds + since.microseconds / 1e6) / 86400:.9f}"


def encoder(title: str, columns: Sequence[Column], zone: tzinfo, zone_name: str, bom: bool) -> XlsxEncoder:
    """See `formats.Format.encoder`."""
    return XlsxEncoder(title, columns, zone, zone_name, MOST_ROWS)
