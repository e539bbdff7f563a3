"""SIGKILL at any moment, writes included, costs time and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="forks a process that has torch")
def test_killed_runs_end_with_the_undisturbed_runs_weights(tmp_path):
    script = Path(__file__).with_name("train_killed.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["random"]["kills"] >= 5 and found["stages"]["kills"] >= 20
    assert set(found["random"]["weights"]) == {found["undisturbed"]}
    assert found["stages"]["weights"] == found["undisturbed"]
