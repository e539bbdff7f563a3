"""Two processes under torchrun make the single process's run."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lmcore.train import train
from lmcore.train.distributed import World

HERE = Path(__file__).parent
job = SimpleNamespace(**runpy.run_path(str(HERE / "train_job.py")))


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """The folder in which two processes have run."""
    if not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo")
    folder = tmp_path_factory.mktemp("two")
    command = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(HERE / "train_two_processes.py"), str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env={**os.environ, "CI": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """The same run in this process."""
    model = job.make_model(dropout=0.0)
    history = train(
        model,
        job.get_batch,
        job.loss_fn,
        job.CONFIG,
        evaluate=job.evaluate,
        eval_every=8,
        device="cpu",
    )
    return model, history


def reports(folder):
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_losses_gradients_and_weights_are_the_single_processs(two_processes, single):
    model, history = single
    for report in reports(two_processes):
        for name in ("steps", "evaluations"):
            theirs = report["history"][name]
            ours = getattr(history, name)
            assert [row["step"] for row in ours] == [row["step"] for row in theirs]
            assert [row["tokens"] for row in ours] == [r["tokens"] for r in theirs]
            for mine, other in zip(ours, theirs, strict=True):
                assert abs(mine["loss"] - other["loss"]) < 1e-6
        for mine, other in zip(history.steps, report["history"]["steps"], strict=True):
            assert abs(mine["grad_norm"] - other["grad_norm"]) < 1e-5
        for name, tensor in model.state_dict().items():
            other = torch.tensor(report["weights"][name])
            torch.testing.assert_close(tensor, other, rtol=0, atol=1e-5)


def test_both_processes_hold_the_same_weights(two_processes):
    first, second = reports(two_processes)
    assert first["weights"] == second["weights"]


def test_process_0_alone_evaluates_and_writes(two_processes):
    first, second = reports(two_processes)
    assert first["evaluated"] == [0, 0, 0] and second["evaluated"] == []
    folders = sorted(p.name for p in (two_processes / "whole").iterdir())
    assert folders == ["step_16", "step_24"]


def test_ctrl_c_in_one_process_stops_both_and_one_process_can_go_on(
    two_processes, single, capsys
):
    for report in reports(two_processes):
        assert "stopped after step 9" in report["stopped"]
    model, _ = single
    resumed = job.make_model(seed=4, dropout=0.0)
    train(
        resumed,
        job.get_batch,
        job.loss_fn,
        job.CONFIG,
        evaluate=job.evaluate,
        eval_every=8,
        out_dir=two_processes / "stopped",
        device="cpu",
    )
    assert "step_9" in capsys.readouterr().out
    for ours, theirs in zip(model.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_shares_are_all_rows_once():
    batch = torch.arange(7), torch.arange(14).reshape(7, 2)
    shares = [World(torch.device("cpu"), r, 3).share(batch) for r in range(3)]
    for i in (0, 1):
        assert torch.equal(torch.cat([share[i] for share in shares]), batch[i])
    with pytest.raises(ValueError, match="batch_size=7: must be >= 8 processes"):
        World(torch.device("cpu"), 0, 8).share(batch)
