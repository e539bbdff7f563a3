"""Tables that people make: what is read, and which line is named when it cannot be."""

import pytest

from lmcore.finetune import BadRow, read_table

GOOD = "text,label\nlovely,pos\ndull,neg\nfine,pos\nawful,neg\n"
EXPECTED = (["lovely", "dull", "fine", "awful"], [1, 0, 1, 0], ("neg", "pos"))


@pytest.fixture
def table(tmp_path):
    """Writes a file and gives its path."""

    def write(content, name="data.csv"):
        path = tmp_path / name
        data = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.removesuffix("\n"),  # no line end at the end
        GOOD.replace("\n", "\r\n"),  # Windows
        GOOD.replace("\n", "\r"),  # old Macs
        GOOD.replace(",", ";"),  # spreadsheets where the comma is a decimal point
        GOOD.replace(",", "\t"),
        b"\xef\xbb\xbf" + GOOD.encode(),  # a byte order mark
        GOOD.replace(",", "\t").encode("utf-16"),  # "Unicode text" of a spreadsheet
        GOOD.replace("\n", "\n\n") + "\n  \n",  # empty lines
        GOOD.replace(",", " , "),  # spaces around
        '"text","label"\n"lovely","pos"\n"dull","neg"\n"fine","pos"\n"awful","neg"\n',
        "n,label,text\n1,pos,lovely\n2,neg,dull\n3,pos,fine\n4,neg,awful\n",
    ],
)
def test_the_same_table_in_many_forms(table, content):
    labelled, bad = read_table(table(content))
    assert tuple(labelled) == EXPECTED and bad == []


def test_quotes_commas_line_ends_and_other_scripts(table):
    content = (
        "text,label\n"
        '"He said ""no"", and left.",坏\n'
        '"two\nlines",好\n'
        "这部电影太棒了，演员也好,好\n"
        "a\u2028b\x85c,坏\n"  # these end no line of a table
    )
    labelled, _ = read_table(table(content), bad_rows="refuse")
    assert labelled.texts == [
        'He said "no", and left.',
        "two\nlines",
        "这部电影太棒了，演员也好",
        "a\u2028b\x85c",
    ]
    assert labelled.names == ("坏", "好")
    assert [labelled.names[i] for i in labelled.labels] == ["坏", "好", "好", "坏"]


def test_other_columns_by_name(table):
    path = table("Review,Stars\ngood,5\nbad,1\nfine,5\npoor,1\n")
    labelled, _ = read_table(path, text="Review", label="Stars")
    assert labelled.names == ("1", "5")
    with pytest.raises(ValueError, match=r"first line \['Review', 'Stars'\].*'text'"):
        read_table(path)


BAD = {  # what stands on line 4 of an otherwise good table, and what is said of it
    ",pos": "the text is empty",
    "  ,pos": "the text is empty",
    "fine,": "the label is empty",
    "fine": "1 cells, where the first line has 2",
    "fine, really,pos": "3 cells, where the first line has 2",
    '"fine,pos': "broken quotes",
    '"fine" film,pos': "broken quotes",
    "fine,other": "no other row has the label 'other'",
    "fi\0ne,pos": "holds a zero byte",
    b"caf\xe9,pos": "not UTF-8 (byte 0xe9 at column 4); save the file as UTF-8",
}


@pytest.mark.parametrize("line", BAD)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_bad_row_is_named_by_its_line_and_skipped_if_asked(table, line, end):
    raw = line if isinstance(line, bytes) else line.encode()
    first, last = b"text,label\nlovely,pos\ndull,neg\n", b"\nawful,neg\ngood,pos\n"
    path = table((first + raw + last).replace(b"\n", end.encode()))
    with pytest.raises(ValueError) as error:
        read_table(path)
    assert f"{path}: 1 bad row\n  line 4: " in str(error.value)
    assert BAD[line] in str(error.value)

    labelled, bad = read_table(path, bad_rows="skip")
    assert [row.line for row in bad] == [4] and BAD[line] in bad[0].reason
    assert labelled.texts == ["lovely", "dull", "awful", "good"]
    assert labelled.labels == [1, 0, 0, 1]


def test_lines_are_counted_through_quoted_line_ends(table):
    path = table('text,label\n"two\nlines",pos\n\nok,neg\n,pos\nok,neg\nyes,pos\n')
    _, bad = read_table(path, bad_rows="skip")
    assert bad == [BadRow(6, "the text is empty")]


def test_an_open_quote_costs_one_row_not_the_rest_of_the_file(table):
    rows = [f"text {i},{'pos' if i % 2 else 'neg'}\n" for i in range(5000)]
    rows[10] = '"' + rows[10]
    labelled, bad = read_table(table("text,label\n" + "".join(rows)), bad_rows="skip")
    assert [row.line for row in bad] == [12]
    assert len(labelled.texts) == 4999


def test_many_bad_rows_are_counted_and_ten_are_shown(table):
    path = table(GOOD + ",pos\n" * 25)
    with pytest.raises(ValueError) as error:
        read_table(path)
    message = str(error.value)
    assert "25 bad rows" in message and message.count("\n  line ") == 10
    assert message.endswith("and 15 more\nbad_rows='skip' leaves them out")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("text,label\n", "at least two labels"),
        ("\n\n", "first line"),
        ("lovely,pos\ndull,neg\n", r"first line \['lovely', 'pos'\]: must name"),
        ("text,label\na,pos\nb,pos\n", r"labels=\['pos'\]: must have at least two"),
        ("text,label\na,pos\nb,neg\n", "bad rows"),
        ("text,text,label\na,b,pos\n", "column='text': must name one column"),
        (b"PK\x03\x04\xff\xfe\x00\x01", "line 1: not UTF-8|first line"),
        (b"\xff\xfea", "not UTF-16"),
    ],
)
def test_what_is_no_table_is_refused(table, content, message):
    with pytest.raises(ValueError, match=message):
        read_table(table(content))
    with pytest.raises(ValueError):
        read_table(table(content), bad_rows="skip")


def test_arguments_are_checked(table, tmp_path):
    with pytest.raises(ValueError, match="bad_rows='ignore'"):
        read_table(table(GOOD), bad_rows="ignore")
    with pytest.raises(ValueError, match="another column than text"):
        read_table(table(GOOD), text="label")
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "none.csv")
