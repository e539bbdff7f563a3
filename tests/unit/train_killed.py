"""Kill a run again and again, and see what its successor makes of what is left.

``python train_killed.py FOLDER`` prints one line of JSON. Children are forked, so that
torch is imported once; a killed child cannot tidy up, which is the point.

    random   SIGKILL at random moments, until a child gets to the end by itself
    stages   SIGKILL before each single action on the disk that saving consists of
"""

import json
import os
import random
import runpy
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import torch

from lmcore.train import checkpoints, load_checkpoint, train

job = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("train_job.py"))))
ACTIONS = ["write_through", "flush_directory", "remove"]


def run(out_dir: Path) -> None:
    """The small run with dropout, saving after every step; fresh wrong weights."""
    first = not any(out_dir.glob("step_*[0-9]"))
    train(
        job.make_model(seed=0 if first else os.getpid()),
        job.get_batch,
        job.loss_fn,
        job.CONFIG,
        evaluate=job.evaluate,
        eval_every=6,
        out_dir=out_dir,
        save_every=1,
        device="cpu",
    )


def in_child(action: Callable[[], None]) -> int:
    """Start ``action`` in a forked process; its id."""
    child = os.fork()
    if child == 0:
        try:
            with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
                action()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
    return child


def ended(child: int, seconds: float) -> int | None:
    """Wait so long at most; the exit status, or None if it is still running."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    return None


def kill_at_random(folder: Path, duration: float) -> dict:
    """Kill children after a random share of a whole run's time.

    On a machine that has got faster meanwhile a run may end after a few kills; then
    another one begins, until there were enough.
    """
    dice, found = random.Random(0), {"kills": 0, "torn": 0, "weights": []}
    while found["kills"] < 6:
        out_dir = folder / f"run_{len(found['weights'])}"
        out_dir.mkdir(parents=True)
        kills, torn = kill_one_run(out_dir, duration, dice)
        found["kills"] += kills
        found["torn"] += torn
        found["weights"].append(weights(out_dir))
    return found


def kill_one_run(
    out_dir: Path, duration: float, dice: random.Random
) -> tuple[int, int]:
    """One run, killed until it gets to its end; kills, and those during a write."""
    kills, torn = 0, 0
    while True:
        child = in_child(lambda: run(out_dir))
        wait = dice.uniform(0.02, 0.35) * duration if kills < 15 else 120
        status = ended(child, wait)
        if status is not None:
            assert status == 0, status
            return kills, torn
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1
        torn += any(out_dir.glob("*.tmp"))


def kill_at_each_stage(out_dir: Path) -> dict:
    """Kill one child before its 1st action on the disk, and so on."""
    stage = 0
    while True:
        stage += 1
        child = in_child(lambda: dying_run(out_dir, stage))  # noqa: B023 - used at once
        status = ended(child, 120)
        if status == 0:
            return {"kills": stage - 1, "weights": weights(out_dir)}
        assert status == -signal.SIGKILL, status


def dying_run(out_dir: Path, stage: int) -> None:
    """The run, up to the given number of writes, flushes, removals and renamings."""
    left = stage

    def count_down(act):
        def counted(*args):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*args)

        return counted

    for name in ACTIONS:
        setattr(checkpoints, name, count_down(getattr(checkpoints, name)))
    checkpoints.os = SimpleNamespace(**{**vars(os), "replace": count_down(os.replace)})
    run(out_dir)


def weights(out_dir: Path) -> str:
    """The last checkpoint's weights, as one hash."""
    model = job.make_model(seed=1)
    checkpoint = load_checkpoint(out_dir / f"step_{job.CONFIG.max_steps}")
    model.load_state_dict(checkpoint.weights)
    return job.fingerprint(model)


def main(folder: Path) -> None:
    """Undisturbed, then killed at random moments, then at every stage."""
    os.environ["CI"] = "1"
    torch.set_num_threads(1)
    started = time.monotonic()
    child = in_child(lambda: run(folder / "undisturbed"))
    assert ended(child, 120) == 0
    duration = time.monotonic() - started
    found = {
        "undisturbed": weights(folder / "undisturbed"),
        "random": kill_at_random(folder / "random", duration),
        "stages": kill_at_each_stage(folder / "stages"),
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
