"""Run under torchrun by test_train_distributed.py: one whole run, then a stopped one.

``torchrun ... train_two_processes.py FOLDER`` writes FOLDER/RANK.json.
"""

import json
import os
import runpy
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import torch

from lmcore.train import train

job = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("train_job.py"))))
RANK = int(os.environ["RANK"])


def run(out_dir, get_batch=job.get_batch):
    model = job.make_model(dropout=0.0)
    history = train(
        model,
        get_batch,
        job.loss_fn,
        job.CONFIG,
        evaluate=evaluate,
        eval_every=8,
        out_dir=out_dir,
        device="cpu",
    )
    return model, history


def evaluate(model):
    evaluated.append(RANK)
    return job.evaluate(model)


def stop_process_1(step, micro):
    """Ctrl-C reaches one process alone; both have to stop after the same step."""
    if (step, micro, RANK) == (9, 1, 1):
        signal.raise_signal(signal.SIGINT)
    return job.get_batch(step, micro)


torch.set_num_threads(1)
evaluated = []
folder = Path(sys.argv[1])
model, history = run(folder / "whole")
found = {"history": history.to_dict(), "evaluated": list(evaluated)}
found["weights"] = {name: t.tolist() for name, t in model.state_dict().items()}
try:
    run(folder / "stopped", stop_process_1)
except KeyboardInterrupt as error:
    found["stopped"] = str(error)
(folder / f"{RANK}.json").write_text(json.dumps(found))
