"""Tables as people save them: CSV in several encodings and with several separators, Excel, and
lists of names and grades without a header."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

#: Endings of files that are read as tables of text.
TEXT_TABLES = frozenset({".csv", ".tsv", ".txt"})
#: Columns of a photograph's name, of which the first that a table has counts.
PICTURE_COLUMNS = (
    *("image", "image_path", "image_name", "image_id"),
    *("filename", "file_name", "file", "path"),
)
#: The columns of a list without a header.
LIST_COLUMNS = ("listed image", "listed grade")

_SEPARATORS = ",;\t"
_LIST_LINE = re.compile(r"(\S+\.(?:jpe?g|png|tiff?|bmp))[ \t]+(\d)", re.IGNORECASE)
#: So many of the first rows of a workbook can be headers (PAPILA's has three).
_HEADERS = 3


@dataclass(frozen=True)
class Table:
    """The rows of a file, each with its line number and its cells by column, stripped of blanks.

    columns: as they are written, without blanks around them; those without a name are left out.
    """

    path: Path
    columns: list[str]
    rows: list[tuple[int, dict[str, str]]]


def read_table(path: Path) -> Table:
    """Read a table: .xlsx, .parquet, or text in UTF-8, UTF-16 (with a byte order mark) or GB 18030
    (of which GBK is a part), its cells parted by commas, semicolons or tabs.

    A text of lines `name.jpg 3` (DDR) gets LIST_COLUMNS. Raises InputError if it cannot be read.
    """
    readers = {".xlsx": _read_workbook, ".parquet": _read_parquet}
    return readers.get(path.suffix.lower(), _read_text_table)(path)


def _read_text_table(path: Path) -> Table:
    text = _decode(path)
    listed = [_LIST_LINE.fullmatch(line.strip()) for line in text.splitlines() if line.strip()]
    if listed and listed[0]:
        # A line that is none of these is kept whole, so that it is counted and not lost.
        cells = [
            list(match.groups()) if match else [line.strip(), ""]
            for match, line in zip(listed, filter(str.strip, text.splitlines()), strict=True)
        ]
        return _table(path, list(LIST_COLUMNS), enumerate(cells, start=1))
    header = text.split("\n", 1)[0]
    # csv.Sniffer takes letters for separators where a table has one column.
    separator = max(_SEPARATORS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        columns = next(reader, [])
        return _table(path, columns, ((reader.line_num, cells) for cells in reader))
    except csv.Error as error:
        raise InputError(f"{path} cannot be read as a table ({error}).") from None


def _decode(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InputError(f"{path} is no table in UTF-8, UTF-16 or GB 18030; save it as UTF-8.")


def _read_workbook(path: Path) -> Table:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise InputError(
            f"Reading {path.name} needs openpyxl; run pip install 'ophglm[train]'."
        ) from None
    try:
        sheet = load_workbook(path, read_only=True, data_only=True).active
        lines = [
            ["" if v is None else str(v) for v in r] for r in sheet.iter_rows(values_only=True)
        ]
    except Exception as error:
        raise InputError(f"{path} cannot be read as an Excel workbook ({error}).") from None
    # A sheet with several rows of headers: the lowest of them that names 'Diagnosis' counts.
    head = max(
        (n for n, line in enumerate(lines[:_HEADERS]) if "Diagnosis" in map(str.strip, line)),
        default=0,
    )
    columns = list(lines[head]) if lines else []
    if columns and not columns[0].strip():
        columns[0] = "ID"
    return _table(path, columns, enumerate(lines[head + 1 :], start=head + 2))


def _read_parquet(path: Path) -> Table:
    try:
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            f"Reading {path.name} needs pyarrow; run pip install 'ophglm[parquet]'."
        ) from None
    try:
        file = parquet.ParquetFile(path)
        # Nested columns, such as a picture's own bytes, are no cells.
        flat = [f.name for f in file.schema_arrow if not f.type.num_fields and f.name]
        rows = file.read(columns=flat).to_pylist()
    except Exception as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as Parquet ({reason}).") from None
    lines = ([_cell(row[name]) for name in flat] for row in rows)
    return _table(path, flat, enumerate(lines, start=1))


def _cell(value: object) -> str:
    return "" if value is None or isinstance(value, bytes) else str(value)


def _table(path: Path, columns: list[str], lines: Iterator[tuple[int, list[str]]]) -> Table:
    columns = [column.strip() for column in columns]
    rows = []
    for number, cells in lines:
        # Spreadsheets leave empty rows below a table, and short ones in it.
        if any(cell.strip() for cell in cells):
            cells = [*cells, *[""] * (len(columns) - len(cells))]
            pairs = zip(columns, cells, strict=False)
            rows.append((number, {column: cell.strip() for column, cell in pairs if column}))
    return Table(path, [column for column in columns if column], rows)
