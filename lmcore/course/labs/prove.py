"""A lab proven both ways: nothing earns nothing, right answers earn all, wrong none.

Prints, for each lab, what the blank and the solved notebook earn, how many of the wrong
answers are rejected with a message that points at the cause, and how many right answers
in other styles are accepted.
"""

import functools
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import nbformat

from lmcore.course.labs.answers import Equivalent, Mutant
from lmcore.course.labs.build import (
    END,
    LabError,
    solved_notebook,
    student_notebook,
)
from lmcore.course.labs.definition import Lab, Outcome, run_task
from lmcore.course.labs.grade import Grader
from lmcore.course.labs.process import Limits, ProcessEnded
from lmcore.course.labs.release import leaks_of, release_files
from lmcore.course.labs.seeds import seed_of
from lmcore.course.labs.session import Session
from lmcore.course.labs.student import Student
from lmcore.course.labs.submission import Cell, cells_of, cells_to_run

SECRET = "lmcore labs check"
LIMITS = Limits(seconds=5)  # a check takes under one; an endless answer takes them all
BUDGET = 60.0  # seconds of processor time for a lab's solution


@dataclass
class Proof:
    """What was found about one lab.

    Attributes:
        name: Its name.
        points: Of all tasks.
        blank: Points of the notebook as handed out.
        solved: Points of the solved one.
        mutants: Wrong answers rejected as they should be, and all of them.
        equivalents: Other right answers accepted, and all of them.
        seconds: Wall clock of the proof.
        cpu_seconds: Processor time of running the solved notebook whole; None if that
            was left out.
        problems: Everything that is wrong.
        only: The word that the answers tried were chosen by; empty if all were.
    """

    name: str
    points: int
    blank: int = 0
    solved: int = 0
    mutants: tuple[int, int] = (0, 0)
    equivalents: tuple[int, int] = (0, 0)
    seconds: float = 0.0
    cpu_seconds: float | None = None
    problems: list[str] = field(default_factory=list)
    only: str = ""

    def line(self) -> str:
        """The proof in one line."""
        earned = (
            f"blank {self.blank}/{self.points}  solved {self.solved}/{self.points}"
            if not self.only
            else f"only {self.only!r}"
        )
        text = (
            f"{self.name:20} {earned}  "
            f"mutants {self.mutants[0]}/{self.mutants[1]}  "
            f"equivalents {self.equivalents[0]}/{self.equivalents[1]}  "
            f"{self.seconds:.0f} s"
        )
        if self.cpu_seconds is None:
            return text
        return f"{text} (solved notebook: {self.cpu_seconds:.0f} s of CPU)"


def prove_labs(
    labs: Sequence[Lab], *, run: bool = True, only: str = "", jobs: int = 1
) -> Iterator[Proof]:
    """Prove several labs, each in a process of its own; proofs come in the labs' order.

    Args:
        labs: Which.
        run: As in ``prove_lab``.
        only: As in ``prove_lab``.
        jobs: Labs at a time.
    """
    prove = functools.partial(_prove_or_say, run=run, only=only)
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(prove, labs)


def _prove_or_say(lab: Lab, run: bool, only: str) -> Proof:
    """A lab's proof; one whose files cannot be built has that as its problem."""
    try:
        return prove_lab(lab, run=run, only=only)
    except LabError as error:
        return Proof(lab.folder.name, 0, problems=[str(error)])


def prove_lab(
    lab: Lab, *, run: bool = True, only: str = "", limits: Limits | None = None
) -> Proof:
    """Prove one lab.

    Args:
        lab: Which one.
        run: Whether to run the solved notebook whole, experiments included.
        only: Try those answers alone whose name or task holds this word; nothing else
            is proven then. All if it is empty.
        limits: For the processes.
    """
    started = time.monotonic()
    proof = Proof(lab.name, lab.points, only=only)
    grader = Grader(lab, limits or LIMITS, SECRET)
    if not only:
        _files_agree(lab, proof)
        _notebooks_earn(lab, grader, proof)
    _answers_are_told_apart(lab, grader, proof)
    if run and not only:
        _runs_whole(lab, proof)
    proof.seconds = time.monotonic() - started
    return proof


def _files_agree(lab: Lab, proof: Proof) -> None:
    built = nbformat.writes(student_notebook(lab)) + "\n"
    if not lab.notebook.exists() or lab.notebook.read_text("utf-8") != built:
        proof.problems.append("lab.ipynb differs from its source: lmcore labs build")
    leaks = leaks_of(lab, release_files(lab))
    proof.problems += [f"a solution stands in the release: {leak}" for leak in leaks]


def _notebooks_earn(lab: Lab, grader: Grader, proof: Proof) -> None:
    blank = grader.grade_cells("blank", cells_of(student_notebook(lab)))
    proof.blank = blank.points
    solved = grader.grade_cells("solved", cells_of(solved_notebook(lab)))
    proof.solved = solved.points
    problems = proof.problems
    for outcome in blank.outcomes:
        if outcome.status != "blank":
            problems.append(f"blank: {outcome.task.name} counts as {outcome.status}")
    for outcome in solved.outcomes:
        if outcome.status != "right":
            problems.append(f"solved: {outcome.message}")
    problems += [f"solved: {problem}" for problem in solved.problems]
    for title, cells in (("empty", []), ("broken", broken_cells(lab))):
        result = grader.grade_cells(title, cells)
        if result.points:
            problems.append(f"the {title} notebook earns {result.points} points")
        for outcome in result.outcomes:
            if not outcome.message:
                problems.append(f"{title}: {outcome.task.name} has no message")


def broken_cells(lab: Lab) -> list[Cell]:
    """The solved notebook with a syntax error in each task's cell."""
    notebook = solved_notebook(lab)
    for cell in notebook.cells:
        if END in cell.source and cell.cell_type == "code":
            cell.source += "\n)"
    return cells_of(notebook)


def _answers_are_told_apart(lab: Lab, grader: Grader, proof: Proof) -> None:
    """Try each wrong and each other right answer in place of the solution's."""
    cells = cells_to_run(cells_of(solved_notebook(lab)), grader.blank)
    mutants = [m for m in lab.mutants.MUTANTS if _fits(m, proof.only)]
    equivalents = [e for e in lab.mutants.EQUIVALENTS if _fits(e, proof.only)]
    with Session(cells, grader.limits) as session:
        rejected = accepted = 0
        for mutant in mutants:
            outcome = try_answer(lab, session, mutant.task, mutant.code)
            fine = outcome.status in ("wrong", "blank", "ended")
            if fine and mutant.says in outcome.message:
                rejected += 1
            else:
                said = outcome.message or "it is accepted"
                text = f"mutant {mutant.name!r} should hear {mutant.says!r}: {said}"
                proof.problems.append(text)
        for other in equivalents:
            outcome = try_answer(lab, session, other.task, other.code)
            if outcome.status == "right":
                accepted += 1
            else:
                text = f"equivalent {other.name!r} is rejected: {outcome.message}"
                proof.problems.append(text)
    proof.mutants = rejected, len(mutants)
    proof.equivalents = accepted, len(equivalents)
    if not mutants and not equivalents:
        proof.problems.append(f"no answer's name or task holds {proof.only!r}")


def _fits(answer: Mutant | Equivalent, word: str) -> bool:
    """Whether an answer's name or task holds a word."""
    return any(word.lower() in text.lower() for text in (answer.name, answer.task))


def try_answer(lab: Lab, session: Session, task: str, code: str) -> Outcome:
    """Check a task with other code in place of the solution's.

    Args:
        lab: The lab.
        session: With the solved notebook's cells; it is left as it was.
        task: Which one.
        code: What a student might have written.
    """
    one = lab.tasks[task]
    student = Student(session.ask, "", task)
    student.rng.seed(seed_of(lab.name, SECRET, task))
    try:
        session.ask({"op": "restore" if session.kept else "keep"})
        session.kept = True
        value = session.ask({"op": "get", "name": "STUDENT"}).get("value", "")
        student.name = value if isinstance(value, str) else ""
        session.begin_task()
        request = {"op": "run", "source": code, "file": "<answer>"}
        answer = session.ask(request)
        if "error" in answer:
            return Outcome(one, "broken", f"{answer['error']}: {answer['message']}")
        return run_task(one, student)
    except ProcessEnded as ended:
        called = student.called or f"`{task}`"
        return Outcome(one, "ended", f"{task}: {called} {ended}")


def _runs_whole(lab: Lab, proof: Proof) -> None:
    """Run the solved notebook as a student would: no error, nothing on stderr."""
    from lmcore.course.notebooks import Chapter
    from lmcore.course.notebooks_build import BuildError, execute

    notebook = solved_notebook(lab)
    chapter = Chapter(lab.folder, lab.name)
    try:
        run = execute(notebook, chapter, threads=1, timeout=1200)
    except BuildError as error:
        proof.problems.append(f"the solved notebook does not run: {error}")
        return
    proof.cpu_seconds = run.cpu_seconds
    if run.cpu_seconds > BUDGET:
        proof.problems.append(f"the solution takes over {BUDGET:.0f} s of CPU")
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                proof.problems.append(f"stderr: {output['text']!r:.200}")
