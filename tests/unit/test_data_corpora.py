import pytest

from lmcore import data
from lmcore.data.corpora import TEST_WORKS, VALIDATION_WORKS


@pytest.fixture
def shakespeare_is_here(real_asset):
    real_asset("shakespeare")


def eight_grams(text):
    words = text.lower().split()
    return {" ".join(words[i : i + 8]) for i in range(len(words) - 7)}


@pytest.mark.assets
def test_the_course_corpus_is_the_same_everywhere(shakespeare_is_here):
    splits = data.course_corpus()
    sizes = [len(t.encode()) for t in (splits.train, splits.validation, splits.test)]
    assert sizes == [4_056_027, 485_469, 515_780]
    assert 0.79 < sizes[0] / sum(sizes) < 0.82
    assert splits.train.isascii() and "\r" not in splits.train
    assert splits.test.startswith("A LOVER'S COMPLAINT")


@pytest.mark.assets
def test_no_work_and_no_passage_crosses_the_split(shakespeare_is_here):
    sides = data.shakespeare_split()
    names = [name for side in sides for name in side.parts]
    assert sorted(names) == sorted(data.shakespeare().parts)
    assert len(names) == len(set(names)) == 42
    assert tuple(sides[1].parts) == VALIDATION_WORKS
    assert tuple(sides[2].parts) == TEST_WORKS
    train = eight_grams(sides[0].text)
    for held_out in sides[1:]:
        seen = eight_grams(held_out.text)
        # formulas such as "exeunt all but" remain; a repeated poem is 100 and more
        assert len(seen & train) < 1e-3 * len(seen)


@pytest.mark.assets
def test_no_gutenberg_header_is_left(shakespeare_is_here):
    for name, text in data.shakespeare().parts.items():
        lowered = text.lower()
        assert "gutenberg" not in lowered and " etext" not in lowered, name
        assert "by William Shakespeare" in text[:200], name


@pytest.mark.assets
def test_chinese_novel(real_asset):
    real_asset("sanguo")
    novel = data.chinese_novel()
    assert len(novel.parts) == 120
    assert sum(map(len, novel.parts.values())) == 599_828
    assert novel.parts["chapter_001"].startswith("第一回")
    assert "孔明" in novel.text


def test_python_reference_needs_no_download():
    corpus = data.load("python_reference")
    assert len(corpus.parts) > 60
    assert 400_000 < corpus.n_bytes < 800_000
    assert "lambda" in corpus.parts
    assert corpus.n_bytes == len(corpus.text.encode())


def test_python_stdlib_is_source_without_tests():
    corpus = data.load("python_stdlib")
    assert corpus.n_bytes > 5_000_000
    assert "def dataclass(" in corpus.parts["dataclasses.py"]
    assert not any("site-packages" in n or "/test/" in n for n in corpus.parts)
    compile(corpus.parts["tokenize.py"], "tokenize.py", "exec")


def test_load_names_what_exists():
    with pytest.raises(ValueError, match=r"name='shakespear'.*shakespeare"):
        data.load("shakespear")


def test_text_files_reads_a_folder(tmp_path):
    (tmp_path / "b.txt").write_bytes("zwei\r\nÄ\n".encode())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_bytes(b"\xef\xbb\xbfone")
    (tmp_path / "skip.md").write_text("x")
    corpus = data.text_files(tmp_path)
    assert corpus.parts == {"b.txt": "zwei\nÄ\n", "in/a.txt": "one"}
    assert data.text_files(tmp_path / "skip.md").text == "x"
    assert list(data.text_files(tmp_path, "*.md").parts) == ["skip.md"]


def test_text_files_names_file_and_line_of_a_bad_byte(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes("one\ntwo\ncafé\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.txt, line 3: byte 0xe9 is not utf-8"):
        data.text_files(path)
    assert data.text_files(path, encoding="latin-1").text == "one\ntwo\ncafé\n"


def test_text_files_refuses_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="must be a file or a folder"):
        data.text_files(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"must hold a file like '\*\.txt'"):
        data.text_files(tmp_path)
