"""Each rule for a chapter's notebook holds on a good one and fails on a bad one."""

import copy

import pytest
from nbformat.v4 import new_output

from lmcore.course import chapter_rules as form
from lmcore.course import notebook_rules as rules
from lmcore.course.notebooks import (
    band_holds,
    bands_in,
    find_chapters,
    find_root,
    notebook_from_source,
    source_from_notebook,
    time_band,
)

SOURCE = '''\
# %% [markdown]
# # A small chapter
#
# **Question.** What is two and two?
#
# **Prerequisites.** None.
#
# **Time.** under 20 s on two CPU cores.

# %%
import math


def double(x):
    """Twice a number."""
    return 2 * x


# %%
print(double(2))

# %% tags=["raises-exception"]
double(1, 2)

# %% alt="A rising line"
values = [1, 2, 4]

# %%
assert values == [1, 2, 4]
math.pi > 3

# %% [markdown]
# ## Summary
# ## Exercises
# ## References
'''
PICTURE = "iVBORw0KGgo/tmp/AAAA"  # an image's bytes may spell a path


@pytest.fixture
def good():
    """A notebook as build writes it, put together by hand."""
    notebook = notebook_from_source(SOURCE)
    cells = rules.code_cells(notebook)
    for number, cell in enumerate(cells, start=1):
        cell.execution_count = number
    cells[1].outputs = [new_output("stream", name="stdout", text="4\n")]
    cells[2].outputs = [
        new_output("error", ename="TypeError", evalue="no", traceback=["no"])
    ]
    image = {"image/png": PICTURE, "text/plain": "<Figure>"}
    cells[3].outputs = [
        new_output(
            "display_data", image, metadata={"image/png": {"alt": "A rising line"}}
        )
    ]
    cells[4].outputs = [
        new_output("execute_result", {"text/plain": "True"}, execution_count=5)
    ]
    return notebook


def broken(rule, notebook):
    """The places where a rule is broken."""
    return [place for place, _ in rule(notebook)]


RULES = (*rules.OUTPUT_RULES, *form.FORM_RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_good_notebook_keeps_the_rule(rule, good):
    assert rule(good) == []


def test_missing_execution_count_fails(good):
    rules.code_cells(good)[1].execution_count = None
    assert broken(rules.executed, good) == ["code cell 2"]


def test_counts_out_of_order_fail(good):
    rules.code_cells(good)[0].execution_count = 7
    assert broken(rules.executed, good) == ["code cell 1"]


def test_stored_traceback_without_tag_fails(good):
    rules.code_cells(good)[2].metadata.tags = []
    assert broken(rules.errors_tagged, good) == ["code cell 3"]


def test_tag_without_traceback_fails(good):
    rules.code_cells(good)[2].outputs = []
    assert broken(rules.errors_tagged, good) == ["code cell 3"]


def test_stored_stderr_fails(good):
    rules.code_cells(good)[1].outputs[0].name = "stderr"
    assert broken(rules.no_stderr, good) == ["code cell 2"]


def test_pair_in_sync_and_out_of_sync(good):
    assert rules.in_sync(good, SOURCE) == []
    changed = SOURCE.replace("double(2)", "double(3)")
    [(place, message)] = rules.in_sync(good, changed)
    assert place == "pair"
    assert "double(3)" in message


def test_tags_and_alt_text_are_part_of_the_pair(good):
    for old in (' tags=["raises-exception"]', ' alt="A rising line"'):
        assert old in SOURCE
        assert rules.in_sync(good, SOURCE.replace(old, "")) != []


def test_ignored_without_assert_fails_and_with_one_passes(good):
    cells = rules.code_cells(good)
    cells[1].metadata.tags = ["nbval-ignore-output"]
    assert broken(rules.ignored_bounded, good) == ["code cell 2"]
    cells[1].source += "\nassert double(2) == 4"
    assert rules.ignored_bounded(good) == []
    cells[3].metadata.tags = ["nbval-ignore-output"]  # the next cell asserts
    assert rules.ignored_bounded(good) == []


@pytest.mark.parametrize(
    ("outputs", "ignored", "allowed"),
    [(11, 1, True), (10, 1, False), (21, 2, True), (20, 2, False), (3, 0, True)],
)
def test_ignored_cells_stay_under_one_in_ten(good, outputs, ignored, allowed):
    cell = rules.code_cells(good)[1]
    good.cells = [copy.deepcopy(cell) for _ in range(outputs)]
    for tagged in good.cells[:ignored]:
        tagged.metadata.tags = ["nbval-ignore-output"]
    assert rules.ignored_outputs(good) == (ignored, outputs)
    assert (rules.few_ignored(good) == []) is allowed


def test_skipped_cells_and_comment_markers_fail(good):
    cells = rules.code_cells(good)
    cells[0].metadata.tags = ["nbval-skip"]
    cells[1].source = "# NBVAL_IGNORE_OUTPUT\n" + cells[1].source
    assert broken(rules.none_skipped, good) == ["code cell 1", "code cell 2"]


@pytest.mark.parametrize(
    "text",
    [
        "/home/ada/course/x.py",
        "saved to /tmp/model.pt",
        "File '/Users/ada/x.py'",
        r"C:\Users\ada\x.py",
        "/srv/course/.venv/lib/python3.11/site-packages/torch/nn.py:3",
    ],
)
def test_machine_paths_in_outputs_fail(good, text):
    rules.code_cells(good)[1].outputs[0].text = text
    assert broken(rules.no_machine_path, good) == ["code cell 2"]


def test_links_and_relative_paths_are_no_machine_paths(good):
    text = "https://a.org/home/x lmcore/attention.py ../results/tmp/x </tmp> a/b"
    rules.code_cells(good)[1].outputs[0].text = text
    assert rules.no_machine_path(good) == []


@pytest.mark.parametrize("end", [";", ";  # quiet", ";\n", ";\n# a comment"])
def test_trailing_semicolon_fails(good, end):
    rules.code_cells(good)[1].source += end
    assert broken(rules.no_trailing_semicolon, good) == ["code cell 2"]


def test_image_without_assert_fails(good):
    rules.code_cells(good)[4].source = "values == [1, 2, 4]"
    assert broken(rules.images_checked, good) == ["code cell 4"]


def test_calls_of_assert_functions_count_and_comments_do_not(good):
    cell = rules.code_cells(good)[4]
    cell.source = "np.testing.assert_allclose(values, [1, 2, 4])"
    assert rules.images_checked(good) == []
    cell.source = "# assert values == [1, 2, 4]"
    assert broken(rules.images_checked, good) == ["code cell 4"]


def test_image_without_alt_text_fails(good):
    rules.code_cells(good)[3].outputs[0].metadata = {}
    assert broken(form.images_described, good) == ["code cell 4"]


def test_long_cells_and_long_medians_fail(good):
    cells = rules.code_cells(good)
    cells[0].source = "\n".join(["x = 1"] * 31)
    assert broken(form.cells_short, good) == ["code cell 1"]
    for cell in cells:
        cell.source = "\n".join(["x = 1"] * 11)
    assert broken(form.cells_short, good) == ["notebook"]


def test_large_file_fails():
    assert form.file_small(1_000_000) == []
    assert form.file_small(1_000_001) != []


def test_metadata_of_versions_pairing_and_times_fail(good):
    good.metadata.language_info.version = "3.11.7"
    rules.code_cells(good)[0].metadata.execution = {"iopub.execute_input": "now"}
    assert broken(rules.metadata_plain, good) == ["notebook", "code cell 1"]
    del good.metadata.language_info["version"]
    good.metadata.jupytext.formats = "ipynb,py:percent"
    assert "notebook" in broken(rules.metadata_plain, good)


def test_the_word_simply_fails(good):
    good.cells[0].source += "\n\nSimply add."
    assert broken(form.not_simply, good) == ["text at the top"]


@pytest.mark.parametrize(
    "part",
    ["# A small", "**Question", "**Prereq", "**Time", "Summary", "Exerc", "Refer"],
)
def test_each_missing_part_fails(good, part):
    assert form.parts_present(good, "90_small") == []
    source = source_from_notebook(good)
    assert part in source
    without = notebook_from_source(source.replace(part, "x"))
    assert len(form.parts_present(without, "90_small")) == 1


def test_preliminaries_need_only_title_question_and_summary():
    source = "# %% [markdown]\n# # T\n#\n# **Question.** Q?\n\n# %% [markdown]\n# "
    notebook = notebook_from_source(source + "## Summary\n")
    assert form.parts_present(notebook, "00_preliminaries") == []
    assert form.parts_present(notebook, "03_activations") != []


def test_an_appendix_needs_references_but_no_exercises(good):
    source = (
        source_from_notebook(good).replace("Summary", "x").replace("Exercises", "x")
    )
    appendix = notebook_from_source(source)
    assert form.parts_present(appendix, "A_claims") == []
    assert len(form.parts_present(appendix, "90_small")) == 2
    without = notebook_from_source(source.replace("References", "x"))
    assert len(form.parts_present(without, "A_claims")) == 1


@pytest.mark.parametrize(
    ("name", "seconds", "kept"),
    [
        ("03_activations", 40.0, True),
        ("03_activations", 40.1, False),
        ("06_lstm", 90.0, True),
        ("06_lstm", 90.1, False),
        ("03_activations", None, False),
    ],
)
def test_time_budget(name, seconds, kept):
    assert (form.time_kept(name, seconds) == []) is kept


@pytest.mark.parametrize(
    ("seconds", "band"),
    [
        (0.0, "under 20 s"),
        (19.9, "under 20 s"),
        (20.0, "20–60 s"),
        (60.0, "1–2 min"),
        (120.0, "2–5 min"),
        (300.0, "over 5 min"),
    ],
)
def test_time_band(seconds, band):
    assert time_band(seconds) == band
    assert band_holds(band, seconds)


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_time_band_refuses_what_is_no_time(seconds):
    with pytest.raises(ValueError, match="seconds="):
        time_band(seconds)


def test_band_far_from_the_measurement_fails():
    assert form.band_true("**Time.** under 20 s", 25.0) == []
    assert form.band_true("**Time.** under 20 s", 31.0) != []
    assert form.band_true("**Time.** 1–2 min", 12.0) != []
    with pytest.raises(ValueError, match="band="):
        band_holds("soon", 3.0)


def test_reading_time_is_no_band():
    assert bands_in("1–2 minutes to read; under 20 s to run.") == ["under 20 s"]


def test_source_and_notebook_translate_both_ways(good):
    assert source_from_notebook(notebook_from_source(SOURCE)) == SOURCE
    assert notebook_from_source(SOURCE) == notebook_from_source(SOURCE)


def test_a_cell_keeps_its_id_when_others_change():
    before = notebook_from_source(SOURCE)
    after = notebook_from_source("# %%\nnew = 1\n\n" + SOURCE)
    assert [cell.id for cell in after.cells[1:]] == [cell.id for cell in before.cells]
    twins = notebook_from_source("# %%\nx\n\n# %%\nx\n")
    assert twins.cells[0].id != twins.cells[1].id


def test_chapters_are_found_by_name_number_and_path(tmp_path):
    folder = tmp_path / "chapters"
    folder.mkdir()
    for name in ("03_activations.py", "04_backpropagation.ipynb", "helper.py"):
        (folder / name).touch()
    every = [chapter.name for chapter in find_chapters(tmp_path)]
    assert every == ["03_activations", "04_backpropagation"]
    for name in ("03", "03_activations", "chapters/03_activations.ipynb"):
        assert [c.name for c in find_chapters(tmp_path, [name])] == ["03_activations"]
    for name in ("05", "0", ""):
        with pytest.raises(ValueError, match="name="):
            find_chapters(tmp_path, [name])
    assert find_root(folder) == tmp_path


def test_headers_and_readme_agree_with_the_measurements():
    from lmcore.course.notebooks import read_results
    from lmcore.course.notebooks_check import check_readme

    root = find_root()
    results = read_results(root)
    assert check_readme(root) == []
    for chapter in find_chapters(root):
        source = chapter.source.read_text(encoding="utf-8")
        header = form.header_text(notebook_from_source(source))
        seconds = results.get(chapter.name, {}).get("seconds")
        assert form.band_true(header, seconds) == []
        assert bands_in(header) or chapter.name.startswith("00")


def test_header_without_a_band_fails(good):
    assert form.band_quoted(good, "03_activations") == []
    good.cells[0].source = good.cells[0].source.replace("under 20 s", "soon")
    assert form.band_quoted(good, "03_activations") != []
    assert form.band_quoted(good, "00_preliminaries") == []
