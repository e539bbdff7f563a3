"""Building and checking real notebooks: each known trap, sprung once."""

import json
import os
import shutil
import time
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import find_kernel_specs
from jupytext.cli import jupytext as jupytext_command
from typer.testing import CliRunner

from lmcore.cli import app
from lmcore.course.notebooks import (
    Chapter,
    find_root,
    notebook_from_source,
    read_results,
    record_result,
)
from lmcore.course.notebooks_build import BuildError, build_notebook, clean_traceback
from lmcore.course.notebooks_check import check_notebooks, summary

SOURCE = """\
# %% [markdown]
# # A small chapter
#
# **Question.** What do three numbers look like?
#
# **Prerequisites.** None.
#
# **Time.** under 20 s on two CPU cores.

# %%
import os
import sys
from pathlib import Path

from lmcore.plotting import new_plot, plotted

if Path("90_good.noise").exists():
    print("a library's warning on this machine", file=sys.stderr)
print(os.environ["CI"], os.environ["LMCORE_DEVICE"], os.environ["OMP_NUM_THREADS"])

# %% tags=["raises-exception"]
Path("90_good.missing").read_text()

# %% alt="A line that rises from 1 to 4"
values = [float(word) for word in Path("90_good.txt").read_text().split()]
figure, axes = new_plot("Three numbers rise", "place", "number")
axes.plot(values, label="values")
figure

# %%
assert plotted(axes)["values"] == [1.0, 2.0, 4.0]

# %%
print(2 + 2)
[1.0, 2.0, 4.0]

# %% [markdown]
# ## Summary
# ## Exercises
# ## References
"""


def write_chapter(root, name, source=SOURCE, numbers="1 2 4"):
    """A chapter's source and its data in ``root/chapters``."""
    folder = root / "chapters"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(find_root() / "chapters" / "jupytext.toml", folder)
    chapter = Chapter(folder, name)
    text = source.replace("90_good", name)
    chapter.source.write_text(text, encoding="utf-8", newline="\n")
    (folder / f"{name}.txt").write_text(numbers)
    return chapter


def record(root, name, seconds):
    """A measurement, as a build leaves it."""
    record_result(root, name, seconds=seconds, cpu_seconds=2.0, peak_mib=100.0)


def copy_chapter(good, name, old="", new=""):
    """A built chapter under another name, with its notebook changed by hand."""
    write_chapter(good.folder.parent, name)
    copied = Chapter(good.folder, name)
    text = good.notebook.read_text(encoding="utf-8").replace(good.name, name)
    assert old in text
    copied.notebook.write_text(text.replace(old, new), encoding="utf-8")
    record(good.folder.parent, name, 3.0)
    return copied


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A chapter built on a machine whose ``python3`` kernel is someone else's."""
    root = tmp_path_factory.mktemp("course")
    foreign = root / "jupyter" / "kernels" / "python3"
    foreign.mkdir(parents=True)
    spec = {"argv": ["no-such-python"], "display_name": "x", "language": "python"}
    (foreign / "kernel.json").write_text(json.dumps(spec))
    chapter = write_chapter(root, "90_good")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(root / "jupyter"))
        patch.setenv("MPLBACKEND", "Agg")  # with it no plot would reach the notebook
        assert Path(find_kernel_specs()["python3"]) == foreign
        result = CliRunner().invoke(app, ["notebooks", "build", "--root", str(root)])
        assert result.exit_code == 0, result.output
    return chapter


@pytest.fixture(scope="module")
def reports(good):
    """One check over the good chapter and over copies spoiled in one way each."""
    root = good.folder.parent
    copy_chapter(good, "91_wrong_number", '"4\\n"', '"5\\n"')
    copy_chapter(good, "92_changed_data")
    (good.folder / "92_changed_data.txt").write_text("1 2 3")
    never_run = nbformat.read(good.notebook, as_version=4)
    for cell in never_run.cells:
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = None, []
    nbformat.write(never_run, copy_chapter(good, "93_never_run").notebook)
    copy_chapter(good, "94_out_of_sync").source.write_text(SOURCE + "\n# %%\n1 + 1\n")
    (good.folder / "90_good.noise").touch()
    names = ["90", "91", "92", "93"]
    found = {report.name: report for report in check_notebooks(root, names)}
    [unsynced] = check_notebooks(root, ["94"], run=False)
    return found | {unsynced.name: unsynced}


def by_nbval(report):
    """What nbval found, without what the rules found."""
    return [problem for problem in report.problems if "[nbval]" in problem]


def by_rules(report):
    """What the rules found, without what nbval found."""
    return [problem for problem in report.problems if "[nbval]" not in problem]


def test_good_notebook_is_compared_whole_whatever_comes_on_stderr(reports):
    report = reports["90_good"]
    assert report.problems == []
    assert (report.cells, report.compared, report.ignored) == (5, 5, 0)
    assert summary([report]) == (
        "1 of 1 chapter notebooks compared, 0 of 4 output cells ignored"
    )


def test_wrong_stored_number_fails(reports):
    report = reports["91_wrong_number"]
    assert by_rules(report) == []
    [problem] = by_nbval(report)
    assert problem.startswith("91_wrong_number.ipynb, code cell 5:")
    assert not report.whole


def test_changed_plot_data_fails(reports):
    [problem] = by_nbval(reports["92_changed_data"])
    assert "code cell 4" in problem  # the assert: nbval skips the picture itself
    assert "AssertionError" in problem


def test_notebook_that_never_ran_fails_though_nbval_accepts_it(reports):
    report = reports["93_never_run"]
    assert by_nbval(report) == []
    assert sum("[executed]" in problem for problem in report.problems) == 5
    assert not report.whole


def test_pair_out_of_sync_fails(reports):
    problems = reports["94_out_of_sync"].problems
    assert any("[in_sync]" in problem for problem in problems)


def test_second_build_gives_the_same_bytes(good):
    before = good.notebook.read_bytes()
    good.folder.joinpath("90_good.noise").unlink(missing_ok=True)
    build_notebook(good)
    assert good.notebook.read_bytes() == before


def test_built_notebook_holds_what_a_reader_needs_and_nothing_of_the_machine(good):
    text = good.notebook.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells[0].outputs[0].text == "true cpu 2\n"
    error = cells[1].outputs[0]
    assert error.ename == "FileNotFoundError"
    assert "\x1b" not in "".join(error.traceback)
    assert any("other packages left out" in frame for frame in error.traceback)
    alt = cells[2].outputs[0].metadata["image/png"]["alt"]
    assert alt == "A line that rises from 1 to 4"
    for trace in (str(good.folder), "/lib/python", "formats", 'execution":', "widget"):
        assert trace not in text


def test_build_records_seconds_and_memory(good):
    result = read_results(good.folder.parent)["90_good"]
    assert 0.5 < result["seconds"] < 120
    assert 30 < result["peak_mib"] < 2000
    assert 0.5 < result["cpu_seconds"] <= 2.1 * result["seconds"]
    assert set(result) == {"seconds", "cpu_seconds", "peak_mib", "date", "machine"}


def test_failing_cell_stops_the_build_and_leaves_the_notebook(tmp_path):
    source = "# %%\nx = 1\n\n# %%\nx / 0\n\n# %%\nx\n"
    chapter = write_chapter(tmp_path, "95_fails", source)
    chapter.notebook.write_text("the last good one")
    with pytest.raises(BuildError) as caught:
        build_notebook(chapter)
    message = str(caught.value)
    for part in ("95_fails, code cell 2", "x / 0", "ZeroDivisionError", "Cell In[2]"):
        assert part in message
    assert chapter.notebook.read_text() == "the last good one"
    assert sorted(path.suffix for path in chapter.folder.glob("95*")) == [
        ".ipynb",
        ".py",
        ".txt",
    ]


def test_missing_source_and_missing_notebook_fail(good, tmp_path):
    with pytest.raises(BuildError, match="missing"):
        build_notebook(Chapter(good.folder, "96_absent"))
    write_chapter(tmp_path, "96_absent")
    [report] = check_notebooks(tmp_path)
    assert "96_absent.ipynb: is missing" in report.problems[0]
    with pytest.raises(ValueError, match="nothing to check"):
        (tmp_path / "empty" / "chapters").mkdir(parents=True)
        check_notebooks(tmp_path / "empty")


def test_check_command_fails_when_a_rule_is_broken(good, tmp_path):
    write_chapter(tmp_path, "90_good")
    shutil.copy(good.notebook, tmp_path / "chapters")
    record(tmp_path, "90_good", 3.0)
    command = [
        "notebooks",
        "check",
        "--rules-only",
        "--strict",
        "--root",
        str(tmp_path),
    ]
    assert CliRunner().invoke(app, command).exit_code == 0
    record(tmp_path, "90_good", 41.0)
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "[time_kept]" in result.output


def test_traceback_keeps_lmcore_and_counts_the_rest():
    import lmcore.runtime

    here = lmcore.runtime.__file__
    frames = [
        "\x1b[31mValueError\x1b[0m   Traceback (most recent call last)",
        "Cell In[3], line 1\n----> 1 f()",
        f"File \x1b[32m{here}:51\x1b[39m, in pick_device(name)\n---> 51 raise",
        "File /usr/lib/python3.11/pathlib.py:1058, in Path.read_text(self)\n 1058 x",
        "File ~/lib/site-packages/torch/nn.py:3, in g()\n 3 y",
        "ValueError: no",
    ]
    assert clean_traceback(frames) == [
        "ValueError   Traceback (most recent call last)",
        "Cell In[3], line 1\n----> 1 f()",
        "File lmcore/runtime.py:51, in pick_device(name)\n---> 51 raise",
        "[2 frames in other packages left out]",
        "ValueError: no",
    ]


def jupyter_saves(root, name):
    """Open a notebook, change a cell and save it, as JupyterLab with jupytext does."""
    from jupyter_server.services.contents.largefilemanager import LargeFileManager
    from jupytext.sync_contentsmanager import (
        build_sync_jupytext_contents_manager_class,
    )

    manager = build_sync_jupytext_contents_manager_class(LargeFileManager)()
    manager.root_dir = str(root)
    model = manager.get(name)
    opened = model["content"]["cells"][0]["source"]
    model["content"]["cells"][0]["source"] += "\n\n# A reader's note."
    manager.save(model, name)
    assert "A reader's note." in (Path(root) / name).read_text(encoding="utf-8")
    return opened


@pytest.mark.parametrize("served", [".", "work"])
def test_saving_a_readers_copy_leaves_the_source_alone(good, tmp_path, served):
    chapter = write_chapter(tmp_path, "90_good")
    shutil.copy(good.notebook, chapter.notebook)
    work = tmp_path / "work"
    work.mkdir()
    shutil.copy(chapter.notebook, work)
    before = chapter.source.read_bytes(), chapter.notebook.read_bytes()
    root = tmp_path / served
    jupyter_saves(root, (work / "90_good.ipynb").relative_to(root).as_posix())
    assert (chapter.source.read_bytes(), chapter.notebook.read_bytes()) == before
    assert [path.name for path in work.glob("*.*") if path.is_file()] == [
        "90_good.ipynb"
    ]


def test_the_same_save_in_chapters_does_write_the_source(good, tmp_path):
    chapter = write_chapter(tmp_path, "90_good")
    shutil.copy(good.notebook, chapter.notebook)
    jupyter_saves(tmp_path, "chapters/90_good.ipynb")
    assert "A reader's note." in chapter.source.read_text(encoding="utf-8")


def stale_pair(root):
    """A source edited after its notebook was made, though the notebook is newer."""
    chapter = write_chapter(root, "97_edit", "# %%\nx = 1\n")
    nbformat.write(notebook_from_source("# %%\nx = 1\n"), chapter.notebook)
    chapter.source.write_text("# %%\nx = 2\n")
    later = time.time() + 3600
    os.utime(chapter.notebook, (later, later))
    return chapter


def test_newer_notebook_does_not_revert_the_source_in_a_build(tmp_path):
    chapter = stale_pair(tmp_path)
    build_notebook(chapter)
    assert chapter.source.read_text() == "# %%\nx = 2\n"
    assert "x = 2" in chapter.notebook.read_text(encoding="utf-8")


def test_newer_notebook_does_not_revert_the_source_in_jupyterlab(tmp_path):
    chapter = stale_pair(tmp_path)
    assert jupyter_saves(tmp_path, "chapters/97_edit.ipynb") == "x = 2"
    assert "x = 2" in chapter.source.read_text()


def test_jupytext_sync_would_have_reverted_it(tmp_path):
    chapter = stale_pair(tmp_path)
    (chapter.folder / "jupytext.toml").write_text('formats = "ipynb,py:percent"\n')
    jupytext_command(["--sync", "--quiet", str(chapter.notebook)])
    assert "x = 1" in chapter.source.read_text()
