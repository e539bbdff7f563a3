"""The grader can run every stretch task: it leaves out cells tagged as experiments."""

import jupytext
import nbformat
import pytest

from lmcore.course.labs.build import solved_notebook
from lmcore.course.labs.definition import find_labs
from lmcore.course.labs.grade import Grader
from lmcore.course.notebooks import find_root

LABS = find_labs(find_root())


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.folder.name)
def test_no_task_is_tagged_as_an_experiment(lab):
    notebook = jupytext.read(lab.source, fmt="py:percent")
    tags = {
        cell.metadata["task"]: cell.metadata.get("tags", [])
        for cell in notebook.cells
        if "task" in cell.metadata
    }
    assert tags, "the source has no task"
    tagged = [name for name, own in tags.items() if "experiment" in own]
    assert not tagged, f"the grader would not run the cells of {tagged}"


def test_a_stretch_task_gets_its_figure(tmp_path):
    lab = find_labs(find_root(), ["03"])[0]
    path = tmp_path / "ann.ipynb"
    path.write_text(nbformat.writes(solved_notebook(lab)), encoding="utf-8")
    result = Grader(lab, secret="a", stretch=True).grade_file("ann", path)
    outcomes = {outcome.task.name: outcome for outcome in result.outcomes}
    stretch = outcomes["classify"]
    assert stretch.status == "right", stretch.message
    assert 0.5 < stretch.figure <= 1  # the share of digits read right; guessing: 0.1
