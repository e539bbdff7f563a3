"""Functions that are the course's own, word for word or with other names.

lmcore is open, and using what one has read is no crime, so this never changes a mark.
It tells the instructor whom to ask for an explanation. Two functions are the same here
if their statements are, after docstrings and annotations are dropped and every name of
a variable is replaced by the order of its first appearance.
"""

import ast
import builtins
import hashlib
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import lmcore

# With these a notebook reaches what it was not given: the checks, or the reference.
ROUNDABOUT = {
    "__globals__",
    "__import__",
    "__subclasses__",
    "_getframe",
    "_modules",
    "eval",
    "exec",
    "f_back",
    "f_globals",
    "find_lab",
    "get_objects",
    "get_referrers",
    "import_module",
    "load_module",
}
SMALLEST = 30  # nodes of a function's tree; shorter ones coincide by chance
BUILTIN = frozenset(dir(builtins))


def normalised(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """A function's statements as text, without what a copyist would change."""
    function = _without_words(ast.parse(ast.unparse(function)).body[0])
    names: dict[str, str] = {}
    arguments = [function.args.vararg, function.args.kwarg, *function.args.posonlyargs]
    arguments += [*function.args.args, *function.args.kwonlyargs]
    for argument in arguments:
        if argument is not None:
            names.setdefault(argument.arg, f"_{len(names)}")
    for node in ast.walk(ast.Module(function.body, [])):
        if isinstance(node, ast.Name) and node.id not in BUILTIN:
            node.id = names.setdefault(node.id, f"_{len(names)}")
        elif isinstance(node, ast.arg):
            node.arg = names.setdefault(node.arg, f"_{len(names)}")
    return "\n".join(ast.dump(statement) for statement in function.body)


def functions_in(source: str) -> dict[str, str]:
    """The functions and methods of a text, each normalised, by name.

    A text that does not parse has none, and neither has one that is nested too deep.
    """
    try:
        tree = ast.parse(source)
        return {
            node.name: normalised(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and sum(1 for _ in ast.walk(node)) >= SMALLEST
        }
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}


@lru_cache
def course_functions() -> dict[str, str]:
    """Where each function of lmcore stands, by its normalised statements."""
    package = Path(lmcore.__file__).resolve().parent
    found = {}
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package.parent).as_posix()
        for name, text in functions_in(path.read_text(encoding="utf-8")).items():
            found.setdefault(text, f"{place}: {name}")
    return found


def copies(
    sources: Iterable[str],
    solutions: Iterable[str] = (),
    given: Iterable[str] = (),
) -> list[str]:
    """What an instructor is told about copied functions, and what is taken from where.

    Args:
        sources: The student's cells, without those that were given.
        solutions: The course's own cells for the tasks.
        given: The cells that were handed out: what they import may be used.
    """
    usual = {module.split(".")[0] for cell in given for module in imports_of(cell)}
    usual |= sys.stdlib_module_names - {"lmcore"}
    known = dict(course_functions())
    for solution in solutions:
        for name, text in functions_in(solution).items():
            known.setdefault(text, f"the course's solution: {name}")
    flags = []
    for source in sources:
        for name, text in functions_in(source).items():
            if text in known:
                flags.append(f"`{name}` is the same code as {known[text]}")
        flags += [
            f"imports {module}"
            for module in imports_of(source)
            if module.split(".")[0] == "lmcore" or module.split(".")[0] not in usual
        ]
        flags += [
            f"uses `{name}`, by which the course's own code can be reached"
            for name in sorted(ROUNDABOUT & names_of(source))
        ]
    return flags


def own_functions(sources: Iterable[str], solutions: Iterable[str]) -> dict[str, str]:
    """A student's functions as digests by name, without those that ``copies`` tells of.

    Args:
        sources: The student's cells, without those that were given.
        solutions: The course's own cells for the tasks.
    """
    known = set(course_functions())
    for solution in solutions:
        known.update(functions_in(solution).values())
    found = {}
    for source in sources:
        for name, text in functions_in(source).items():
            if text not in known:
                found[name] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return found


def imports_of(source: str) -> list[str]:
    """The modules that a text imports."""
    modules = []
    for node in _nodes(source):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules.append(node.module)
        elif isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
    return modules


def names_of(source: str) -> set[str]:
    """The names and attributes that a text uses."""
    names = set()
    for node in _nodes(source):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.alias):
            names.add(node.name)
    return names


def _nodes(source: str) -> list[ast.AST]:
    """Every node of a text's tree; none if it does not parse."""
    try:
        return [*ast.walk(ast.parse(source))]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _without_words(function: ast.FunctionDef) -> ast.FunctionDef:
    """Drop docstrings and annotations."""
    for node in ast.walk(function):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        elif isinstance(node, ast.arg):
            node.annotation = None
    plain = _PlainAssignments().visit(function)
    return ast.fix_missing_locations(plain)


class _PlainAssignments(ast.NodeTransformer):
    """Turns ``x: int = 1`` into ``x = 1``."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return ast.Pass()
        return ast.Assign([node.target], node.value)
