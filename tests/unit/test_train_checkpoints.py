"""Checkpoints: bit-equal resuming, damage, what is kept, and disks that refuse."""

import json
import os
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open

from lmcore.train import (
    best_checkpoint,
    latest_checkpoint,
    load_checkpoint,
    load_weights,
    save_weights,
    train,
)

job = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("train_job.py"))))


@pytest.fixture(autouse=True)
def no_progress_bar(monkeypatch):
    monkeypatch.setenv("CI", "1")


class PowerCut(Exception):
    """Stands for whatever ends a run between two checkpoints."""


def cut_at(place):
    def get_batch(step, micro):
        if (step, micro) == place:
            raise PowerCut
        return job.get_batch(step, micro)

    return get_batch


def run_job(out_dir, model=None, config=job.CONFIG, get_batch=job.get_batch, **options):
    model = model or job.make_model()
    options = {"device": "cpu", "save_every": 5, **options}
    history = train(model, get_batch, job.loss_fn, config, out_dir=out_dir, **options)
    return model, history


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    os.environ["CI"] = "1"
    return run_job(tmp_path_factory.mktemp("run"), evaluate=job.evaluate, eval_every=4)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def without_times(history):
    rows = history.steps + history.evaluations
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def test_a_resumed_run_has_the_undisturbed_runs_bits(tmp_path, undisturbed):
    options = {"evaluate": job.evaluate, "eval_every": 4}
    for place in [(1, 0), (3, 1), (13, 0), (13, 1), (24, 1)]:  # between pieces, too
        nothing_saved = not names(tmp_path)
        model = job.make_model(seed=0 if nothing_saved else place[0])
        with pytest.raises(PowerCut):
            run_job(tmp_path, model, get_batch=cut_at(place), **options)
        assert (names(tmp_path) == []) == (place[0] <= 3)
    resumed, history = run_job(tmp_path, job.make_model(seed=77), **options)
    model, reference = undisturbed
    assert job.fingerprint(resumed) == job.fingerprint(model)
    assert without_times(history) == without_times(reference)


class Tempered(torch.nn.Module):
    """The model with one parameter of no axis, as CLIP's temperature is."""

    def __init__(self):
        super().__init__()
        self.model, self.scale = job.make_model(), torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, ids):
        return self.model(ids) * self.scale


def test_a_parameter_without_axes_resumes_too(tmp_path):
    model, _ = run_job(tmp_path / "whole", Tempered())
    with pytest.raises(PowerCut):
        run_job(tmp_path / "cut", Tempered(), get_batch=cut_at((13, 0)))
    resumed, _ = run_job(tmp_path / "cut", Tempered())
    assert job.fingerprint(resumed) == job.fingerprint(model)
    assert resumed.scale != 1


def test_dropout_matters_here():
    with_dropout, without = job.make_model(), job.make_model(dropout=0.0)
    torch.manual_seed(0)
    a, b = with_dropout(job.INPUTS[:2]), with_dropout(job.INPUTS[:2])
    assert not torch.equal(a, b)
    assert torch.equal(without(job.INPUTS[:2]), without(job.INPUTS[:2]))


def test_a_finished_run_is_not_made_again(tmp_path, capsys):
    model, history = run_job(tmp_path)
    again, same = run_job(tmp_path, job.make_model(9), get_batch=cut_at((25, 0)))
    assert job.fingerprint(again) == job.fingerprint(model) and same == history
    assert f"going on from {tmp_path / 'step_24'}" in capsys.readouterr().out


def damage_a_byte(step_dir):
    path = step_dir / "optimizer.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut_short(step_dir):
    path = step_dir / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def lose_the_manifest(step_dir):
    (step_dir / "manifest.json").unlink()


def lose_a_file(step_dir):
    (step_dir / "history.json").unlink()


def empty_the_manifest(step_dir):
    (step_dir / "manifest.json").write_text("")


DAMAGES = [
    damage_a_byte,
    cut_short,
    lose_the_manifest,
    lose_a_file,
    empty_the_manifest,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_skipped(tmp_path, damage, undisturbed, capsys):
    with pytest.raises(PowerCut):
        run_job(tmp_path, get_batch=cut_at((13, 0)))
    assert names(tmp_path) == ["step_10", "step_5"]
    damage(tmp_path / "step_10")
    with pytest.raises(ValueError, match=r"step_10.*must be a complete checkpoint"):
        load_checkpoint(tmp_path / "step_10")
    resumed, _ = run_job(tmp_path, job.make_model(3))
    said = capsys.readouterr().out
    assert f"skipped the checkpoint {tmp_path / 'step_10'}" in said
    assert f"going on from {tmp_path / 'step_5'}" in said
    assert job.fingerprint(resumed) == job.fingerprint(undisturbed[0])


def test_the_last_ones_and_the_best_are_kept(tmp_path):
    losses = iter([5.0, 1.0, 4.0, 3.0, 2.0, 6.0])

    def evaluate(model):
        return {"loss": next(losses)}

    options = {"evaluate": evaluate, "eval_every": 4, "save_every": 3, "keep_last": 3}
    run_job(tmp_path, **options)
    assert names(tmp_path) == ["step_18", "step_21", "step_24", "step_8"]
    assert best_checkpoint(tmp_path) == tmp_path / "step_8"
    assert latest_checkpoint(tmp_path) == tmp_path / "step_24"
    best = load_checkpoint(tmp_path / "step_8")
    assert best.step == 8 and best.history.best["loss"] == 1.0


def test_a_folder_without_checkpoints_has_none(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "missing") is None
    assert best_checkpoint(tmp_path) is None


def test_a_checkpoint_says_what_it_holds(tmp_path):
    model, history = run_job(tmp_path)
    checkpoint = load_checkpoint(tmp_path / "step_24")
    assert checkpoint.step == 24 and checkpoint.history == history
    assert checkpoint.state["settings"]["lr"] == 1e-2
    config = type(model.config).from_dict(checkpoint.state["model_config"])
    rebuilt = type(model)(config)
    rebuilt.load_state_dict(checkpoint.weights)
    assert job.fingerprint(rebuilt) == job.fingerprint(model)


def test_tied_weights_are_stored_once_and_stay_tied(tmp_path):
    model, _ = run_job(tmp_path)
    with safe_open(tmp_path / "step_24" / "model.safetensors", "pt") as file:
        assert "tok_emb.weight" in file.keys()  # noqa: SIM118
        assert "lm_head.weight" not in file.keys()  # noqa: SIM118
        assert json.loads(file.metadata()["tied"]) == {
            "lm_head.weight": "tok_emb.weight"
        }
    resumed, _ = run_job(tmp_path, job.make_model(8))
    assert resumed.lm_head.weight is resumed.tok_emb.weight
    save_weights(tmp_path / "weights.safetensors", model)
    weights = load_weights(tmp_path / "weights.safetensors")
    assert weights.keys() == model.state_dict().keys()
    assert all(torch.equal(weights[n], t) for n, t in model.state_dict().items())


def test_another_configuration_is_refused_with_names(tmp_path):
    run_job(tmp_path)
    changed = job.CONFIG.replace(lr=3e-2, seed=6)
    with pytest.raises(ValueError, match=r"lr=0.03, there 0.01; seed=6, there 5\."):
        run_job(tmp_path, config=changed)
    with pytest.raises(ValueError, match="schedule='linear', there 'cosine'"):
        run_job(tmp_path, schedule="linear")
    with pytest.raises(ValueError, match=r"dtype='torch.bfloat16', there 'torch.float"):
        run_job(tmp_path, dtype=torch.bfloat16)


def test_another_model_is_refused_with_names(tmp_path):
    run_job(tmp_path)
    model = job.make_model()
    model.lm_head = torch.nn.Linear(16, 200)
    with pytest.raises(
        ValueError, match=r"lm_head.bias: \(200,\), there \(256,\); lm_head.weight"
    ):
        run_job(tmp_path, model)
    frozen = job.make_model()
    frozen.lm_head.bias.requires_grad_(False)
    with pytest.raises(ValueError, match=r"lm_head.bias: not trained now"):
        run_job(tmp_path, frozen)


def test_resume_false_wants_an_empty_folder(tmp_path):
    run_job(tmp_path, resume=False)
    with pytest.raises(ValueError, match=r"without checkpoints unless .*step_24"):
        run_job(tmp_path, resume=False)


def test_the_number_format_of_the_beginning_is_kept(tmp_path, monkeypatch):
    with pytest.raises(PowerCut):
        run_job(tmp_path, dtype=torch.bfloat16, get_batch=cut_at((13, 0)))
    monkeypatch.setattr("lmcore.train.loop.pick_dtype", lambda device: torch.float32)
    run_job(tmp_path, dtype=None)
    state = load_checkpoint(tmp_path / "step_24").state
    assert state["settings"]["dtype"] == "torch.bfloat16"


def test_a_folder_that_cannot_be_is_refused_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="cannot write checkpoints"):
        run_job(tmp_path / "file" / "run", get_batch=cut_at((1, 0)))


@pytest.mark.skipif(
    sys.platform == "win32", reason="limits a file's size as POSIX does"
)
def test_a_full_disk_is_named_and_leaves_the_older_checkpoint(tmp_path):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def get_batch(step, micro):
        if step == 8:  # from now on, no file may be longer than 20 kB
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        return job.get_batch(step, micro)

    try:
        with pytest.raises(OSError, match="cannot save step_10: File too large"):
            run_job(tmp_path, get_batch=get_batch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == ["step_5"]
    assert latest_checkpoint(tmp_path) == tmp_path / "step_5"
