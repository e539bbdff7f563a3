"""The strings of a one-column Parquet file, without a Parquet library.

Idea: the words of the published GloVe vectors come as a Parquet file. The usual library
for it takes over 100 MB on the disk, and this one column needs four small steps, so
here they are:

    footer       the last bytes say where the column starts (Thrift's compact encoding)
    pages        the column is a row of pages, each with a header and compressed values
    Snappy       a page is a row of "these bytes" and "again n bytes from d bytes ago"
    values       either length + bytes one after another (PLAIN), or small numbers that
                 point into the column's first page, its dictionary (RLE_DICTIONARY)

Anything that such a column may have besides (nested or missing values, other
compressions, version 2 pages) is refused, not guessed.

References: apache/parquet-format (Encodings.md, parquet.thrift); google/snappy
(format_description.txt); Thrift compact protocol (thrift-compact-protocol.md).
"""

from pathlib import Path

from lmcore.config import require

# Numbers of parquet.thrift: fields, and values of its enumerations.
BYTE_ARRAY, SNAPPY, PLAIN, RLE_DICTIONARY = 6, 1, 0, 8
DATA_PAGE, DICTIONARY_PAGE = 0, 2


def read_strings(path: str | Path) -> list[str]:
    """All strings of a Parquet file with one column.

    Args:
        path: The file.

    Raises:
        ValueError: If the file is no Parquet file, is broken, or uses a part of the
            format that is not read here.
    """
    data = Path(path).read_bytes()
    rule = "be a Parquet file"
    require(data[:4] == b"PAR1" == data[-4:], "path", str(path), rule)
    try:
        return _read_column(data)
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"path={str(path)!r}: must be whole ({error!r})") from error


def _read_column(data: bytes) -> list[str]:
    footer_length = int.from_bytes(data[-8:-4], "little")
    footer, _ = read_struct(data, len(data) - 8 - footer_length)
    n_rows, row_groups = footer[3], footer[4]
    require(len(row_groups) == 1, "row groups", len(row_groups), "be 1")
    columns = row_groups[0][1]
    require(len(columns) == 1, "columns", len(columns), "be 1")
    column = columns[0][3]
    require(column[1] == BYTE_ARRAY, "column type", column[1], "be BYTE_ARRAY (6)")
    require(column[4] == SNAPPY, "compression", column[4], "be Snappy (1)")
    at = column.get(11, column[9])  # the dictionary's page, else the first data page
    dictionary: list[str] = []
    strings: list[str] = []
    while len(strings) < n_rows:
        header, at = read_struct(data, at)
        page = unsnap(data[at : at + header[3]])
        at += header[3]
        if header[1] == DICTIONARY_PAGE:
            dictionary = plain_strings(page, 0, header[7][1])
            continue
        require(header[1] == DATA_PAGE, "page type", header[1], "be DATA_PAGE (0)")
        n_values, encoding = header[5][1], header[5][2]
        # An optional column says first which values are there; here all of them are.
        levels_length = int.from_bytes(page[:4], "little")
        there = run_lengths(page[4 : 4 + levels_length], 1, n_values)
        require(min(there) == 1, "values", "missing ones", "all be there")
        start = 4 + levels_length
        if encoding == PLAIN:
            strings += plain_strings(page, start, n_values)
        else:
            require(encoding == RLE_DICTIONARY, "encoding", encoding, "be 0 or 8")
            numbers = run_lengths(page[start + 1 :], page[start], n_values)
            strings += [dictionary[number] for number in numbers]
    return strings


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of 7 bits, the lowest first; and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def read_struct(data: bytes, at: int) -> tuple[dict[int, object], int]:
    """A Thrift struct as a dictionary from field numbers to values; and its end."""
    fields: dict[int, object] = {}
    number = 0
    while data[at] != 0:
        step, kind = data[at] >> 4, data[at] & 0x0F
        at += 1
        if step:  # the distance to the last field's number, if that is small
            number += step
        else:
            zigzag, at = read_varint(data, at)
            number = (zigzag >> 1) ^ -(zigzag & 1)
        if kind in (1, 2):  # true and false are said by the kind alone
            fields[number] = kind == 1
        else:
            fields[number], at = read_value(data, at, kind)
    return fields, at + 1


def read_value(data: bytes, at: int, kind: int) -> tuple[object, int]:
    """A Thrift value of some kind: an integer, bytes, a list or a struct."""
    if kind in (4, 5, 6):  # integers; 0, -1, 1, -2, … are written 0, 1, 2, 3, …
        zigzag, at = read_varint(data, at)
        return (zigzag >> 1) ^ -(zigzag & 1), at
    if kind == 8:
        length, at = read_varint(data, at)
        return data[at : at + length], at + length
    if kind == 9:
        length, inner = data[at] >> 4, data[at] & 0x0F
        at += 1
        if length == 15:
            length, at = read_varint(data, at)
        values = []
        for _ in range(length):
            value, at = read_value(data, at, inner)
            values.append(value)
        return values, at
    require(kind == 12, "Thrift kind", kind, "be an integer, bytes, list or struct")
    return read_struct(data, at)


def unsnap(data: bytes) -> bytes:
    """Undo Snappy's compression."""
    length, at = read_varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        kind, size = tag & 3, (tag >> 2) + 1
        at += 1
        if kind == 0:  # literal bytes; sizes over 60 stand in the next 1 to 4 bytes
            if size > 60:
                width = size - 60
                size = int.from_bytes(data[at : at + width], "little") + 1
                at += width
            out += data[at : at + size]
            at += size
            continue
        if kind == 1:  # a copy of 4 to 11 bytes from up to 2047 bytes ago
            size, back = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at]
            at += 1
        else:
            width = 2 if kind == 2 else 4
            back = int.from_bytes(data[at : at + width], "little")
            at += width
        require(0 < back <= len(out), "Snappy offset", back, f"be 1 to {len(out)}")
        start = len(out) - back
        piece = out[start : start + size]
        while len(piece) < size:  # it may reach into what it writes itself
            piece += piece[: size - len(piece)]
        out += piece
    require(len(out) == length, "Snappy length", len(out), f"be {length}")
    return bytes(out)


def plain_strings(page: bytes, at: int, n: int) -> list[str]:
    """``n`` strings, each as 4 bytes of length and its UTF-8."""
    strings = []
    for _ in range(n):
        length = int.from_bytes(page[at : at + 4], "little")
        strings.append(page[at + 4 : at + 4 + length].decode())
        at += 4 + length
    require(at <= len(page), "page", "cut off", "hold all its strings")
    return strings


def run_lengths(data: bytes, bits: int, n: int) -> list[int]:
    """``n`` numbers of ``bits`` bits: runs of equal ones, packed groups of eight."""
    numbers: list[int] = []
    at = 0
    while len(numbers) < n:
        head, at = read_varint(data, at)
        if head & 1:
            size = (head >> 1) * bits  # bytes of so many groups of eight
            packed = int.from_bytes(data[at : at + size], "little")
            group = [
                packed >> shift & ((1 << bits) - 1)
                for shift in range(0, 8 * size, bits)
            ]
            numbers += group
            at += size
        else:
            width = (bits + 7) // 8
            value = int.from_bytes(data[at : at + width], "little")
            numbers += [value] * (head >> 1)
            at += width
    return numbers[:n]
