import numpy as np
import pytest
import torch

from lmcore.data import TokenFile, write_token_file
from lmcore.data.token_file import HEADER_SIZE


@pytest.mark.parametrize(
    ("vocab_size", "bytes_per_id"), [(2**16, 2), (2**16 + 1, 4), (2**32, 4)]
)
def test_ids_come_back(tmp_path, vocab_size, bytes_per_id):
    ids = [0, 1, vocab_size - 1, 7]
    path = tmp_path / "ids.bin"
    file = write_token_file(path, [ids[:1], [], ids[1:]], vocab_size, "größe")
    assert file.ids.tolist() == ids and len(file) == 4
    assert path.stat().st_size == HEADER_SIZE + 4 * bytes_per_id
    again = TokenFile(path)
    assert (again.vocab_size, again.tokenizer) == (vocab_size, "größe")
    assert again[1:3].tolist() == ids[1:3] and again[1:3].dtype == torch.int64
    assert isinstance(again.ids, np.memmap)
    assert not path.with_name("ids.bin.part").exists()


def test_writing_holds_one_chunk_at_a_time(tmp_path):
    alive = []

    def chunks():
        for start in range(0, 100_000, 1000):
            alive.append(start)
            yield np.arange(start, start + 1000)

    file = write_token_file(tmp_path / "ids.bin", chunks(), vocab_size=100_000)
    assert len(alive) == 100
    assert np.array_equal(file.ids, np.arange(100_000))


def test_samples_are_windows_decided_by_seed_and_step(tmp_path):
    file = write_token_file(tmp_path / "ids.bin", [np.arange(1000)], 1000)
    inputs, targets = file.sample_pairs(seq_len=8, batch_size=64, seed=1, step=5)
    assert inputs.shape == targets.shape == (64, 8)
    assert torch.equal(targets, inputs + 1)
    assert torch.equal(inputs, inputs[:, :1] + torch.arange(8))
    again, _ = TokenFile(file.path).sample_pairs(8, 64, seed=1, step=5)
    assert torch.equal(inputs, again)
    other, _ = file.sample_pairs(8, 64, seed=1, step=6)
    assert not torch.equal(inputs, other)


def test_samples_reach_both_ends(tmp_path):
    file = write_token_file(tmp_path / "ids.bin", [[0, 1, 2, 3]], 4)
    inputs, targets = file.sample_pairs(seq_len=2, batch_size=200, seed=0, step=0)
    assert set(inputs[:, 0].tolist()) == {0, 1} and targets.max() == 3
    whole, _ = file.sample_pairs(seq_len=3, batch_size=2, seed=0, step=0)
    assert whole.tolist() == [[0, 1, 2]] * 2
    with pytest.raises(ValueError, match="seq_len=4: must be < 4"):
        file.sample_pairs(seq_len=4, batch_size=1, seed=0, step=0)


@pytest.mark.parametrize("bad", [-1, 10])
def test_an_id_out_of_range_is_named_and_nothing_is_left(tmp_path, bad):
    with pytest.raises(ValueError, match=f"id at position 4={bad}: must be from 0"):
        write_token_file(tmp_path / "ids.bin", [[1, 2, 3], [4, bad]], vocab_size=10)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_row_of_integers_is_refused(tmp_path):
    for chunk in ([1.5], [[1, 2]], ["a"]):
        with pytest.raises(TypeError, match="must be a row of integers"):
            write_token_file(tmp_path / "ids.bin", [chunk], vocab_size=10)
    with pytest.raises(ValueError, match="must hold at least one id"):
        write_token_file(tmp_path / "ids.bin", [[]], vocab_size=10)
    with pytest.raises(ValueError, match="must be a shorter name"):
        write_token_file(tmp_path / "ids.bin", [[1]], 10, tokenizer="x" * 500)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_reader_leaves_the_old_file(tmp_path):
    path = tmp_path / "ids.bin"
    write_token_file(path, [[1, 2]], 10)

    def broken():
        yield [3]
        raise KeyError("the corpus ended badly")

    with pytest.raises(KeyError):
        write_token_file(path, broken(), 10)
    assert TokenFile(path).ids.tolist() == [1, 2]
    assert [p.name for p in tmp_path.iterdir()] == ["ids.bin"]


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "ids.bin"
    write_token_file(path, [range(100)], 100)
    whole = path.read_bytes()
    for broken in (whole[:-1], whole[:-50], whole + b"x"):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"ids\.bin has \d+ bytes, but its header"):
            TokenFile(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no token file"),
        (b"To be, or not to be" * 100, "is no token file"),
        (b"LMTOKEN1{}", "is no token file"),
        (b"LMTOKEN1" + b"{}".ljust(HEADER_SIZE), "its header is damaged"),
        (b"LMTOKEN1" + b"[1]".ljust(HEADER_SIZE), "its header is damaged"),
        (b"LMTOKEN1" + b"\xff" * HEADER_SIZE, "its header is damaged"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path, content, message):
    path = tmp_path / "foreign.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        TokenFile(path)
