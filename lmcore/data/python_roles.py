"""Python source as words with exact labels: what role each word plays.

    def  fetch     (   url       ,  …
    keyword function op argument op

A word is a token of Python's own `tokenize`, without line ends and indentation; an
f-string is one word, with all that it holds. Marks and literals carry their label in
themselves. A name does not: `fetch` may be a function that is defined or one that is
called, an attribute, an argument, a module. Its role comes from the syntax tree (`ast`)
and so is exact, without anybody having labelled a word by hand.
"""

import ast
import io
import keyword
import tokenize
from collections.abc import Iterator, Sequence
from typing import NamedTuple

ROLES = (
    "keyword",  # def, if, None, …
    "operator",  # + ( ] : …
    "number",
    "string",
    "comment",
    "function",  # a name that def defines
    "class",  # a name that class defines
    "argument",  # a parameter, where it is declared and where its function uses it
    "option",  # the name in f(name=value)
    "call",  # f in f(x)
    "method",  # f in x.f(y)
    "attribute",  # f in x.f
    "module",  # any name in an import
    "name",  # any other
)
LAYOUT = {
    tokenize.ENCODING,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
KIND_ROLES = {
    tokenize.OP: "operator",
    tokenize.NUMBER: "number",
    tokenize.STRING: "string",
    tokenize.COMMENT: "comment",
}
# Since Python 3.12 f-strings come in parts, since 3.14 t-strings do.
STRING_STARTS = {getattr(tokenize, f"{kind}STRING_START", None) for kind in "FT"}
STRING_ENDS = {getattr(tokenize, f"{kind}STRING_END", None) for kind in "FT"}

Place = tuple[int, int]  # line from 1, column from 0 in bytes of UTF-8, as `ast` counts


class Word(NamedTuple):
    """One token of the source.

    Attributes:
        text: As it stands in the source.
        role: One of ``ROLES``.
        line: The line it begins in, from 1.
    """

    text: str
    role: str
    line: int


def python_words(source: str) -> list[Word]:
    """The words of a Python source text, each with its role.

    Args:
        source: A whole file, or whole statements.

    Raises:
        SyntaxError: If this Python cannot parse it.

    Example:
        >>> [(w.text, w.role) for w in python_words("x = f(y)")]
        ... # doctest: +NORMALIZE_WHITESPACE
        [('x', 'name'), ('=', 'operator'), ('f', 'call'), ('(', 'operator'),
         ('y', 'name'), (')', 'operator')]
    """
    return label(source, ast.parse(source))


def python_blocks(source: str, max_words: int) -> list[list[Word]]:
    """Each function, each class up to its first method, and the code in between.

    A block holds its first ``max_words`` words; the rest of a longer one is left out.
    So every block begins where a reader would begin, and whoever reads it has seen the
    arguments of the function that is read. A function inside a function stays with it.

    Args:
        source: A whole file.
        max_words: Longest block.

    Raises:
        SyntaxError: If this Python cannot parse it.
    """
    tree = ast.parse(source)
    starts = sorted({1, *block_starts(tree.body)})
    blocks: list[list[Word]] = [[] for _ in starts]
    index = 0
    for word in label(source, tree):
        while index + 1 < len(starts) and word.line >= starts[index + 1]:
            index += 1
        if len(blocks[index]) < max_words:
            blocks[index].append(word)
    return [block for block in blocks if block]


def block_starts(statements: Sequence[ast.stmt]) -> Iterator[int]:
    """The lines at which a function or class begins, and those behind its end."""
    for node in statements:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            decorators = [one.lineno for one in node.decorator_list]
            yield min([node.lineno, *decorators])
            yield node.end_lineno + 1
            if isinstance(node, ast.ClassDef):
                yield from block_starts(node.body)


def label(source: str, tree: ast.Module) -> list[Word]:
    """The words of ``source``, whose syntax tree is ``tree``."""
    roles = NameRoles()
    roles.visit(tree)
    lines = list(io.StringIO(source))  # splitlines would also cut at form feeds
    tokens = tokenize.generate_tokens(iter([*lines, ""]).__next__)
    words: list[Word] = []
    import_end = (0, 0)
    for token in whole_strings(tokens, lines):
        if token.type in LAYOUT:
            continue
        start, end = (byte_place(place, lines) for place in (token.start, token.end))
        import_end = roles.imports.get(start, import_end)
        role = KIND_ROLES.get(token.type)
        if role is None and keyword.iskeyword(token.string):
            role = "keyword"
        elif role is None and start < import_end:
            role = "module"
        elif role is None:
            role = name_role(token.string, start, end, words, roles)
        words.append(Word(token.string, role, token.start[0]))
    return words


def name_role(
    text: str, start: Place, end: Place, before: list[Word], roles: "NameRoles"
) -> str:
    """The role of a name, from the words before it and from the tree."""
    last = before[-1] if before else Word("", "", 0)
    if last.role == "keyword" and last.text in ("def", "class"):
        return "function" if last.text == "def" else "class"
    if last.text == ".":
        return roles.by_end.get(end, "name")
    soft = text in ("match", "case", "type") and last.line < start[0]
    return roles.by_start.get(start, "keyword" if soft else "name")


class NameRoles(ast.NodeVisitor):
    """Where in the source names of which role stand.

    Attributes:
        by_start: Roles of names that stand alone, by the place where they begin.
        by_end: Roles of names behind a dot, by the place where they end.
        imports: Where each import statement begins, and where it ends.
    """

    def __init__(self) -> None:
        self.by_start: dict[Place, str] = {}
        self.by_end: dict[Place, str] = {}
        self.imports: dict[Place, Place] = {}
        self.arguments: set[str] = set()  # of the function around the node

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        """``import a.b as c``."""
        self.imports[start_of(node)] = end_of(node)

    visit_ImportFrom = visit_Import

    def visit_Name(self, node: ast.Name) -> None:
        """``x``, which ``visit_Call`` may have seen as ``x(...)``."""
        role = "argument" if node.id in self.arguments else "name"
        self.by_start.setdefault(start_of(node), role)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """``x.f``, which ``visit_Call`` may have seen as ``x.f(...)``."""
        self.by_end.setdefault(end_of(node), "attribute")
        self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        """``f(x)`` and ``x.f(y)``; a parameter that is called stays an argument."""
        if isinstance(node.func, ast.Attribute):
            self.by_end[end_of(node.func)] = "method"
        elif isinstance(node.func, ast.Name) and node.func.id not in self.arguments:
            self.by_start[start_of(node.func)] = "call"
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        """``name=value`` in a call; ``**value`` has no name."""
        if node.arg is not None:
            self.by_start[start_of(node)] = "option"
        self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None:
        """A parameter and its annotation."""
        self.by_start[start_of(node)] = "argument"
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """An f-string is one word: nothing in it has a role."""

    visit_TemplateStr = visit_JoinedStr

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Decorators, defaults and annotations are read outside of the function."""
        for outside in (*node.decorator_list, node.args, node.returns):
            if outside is not None:
                self.visit(outside)
        self.visit_inside(node.args, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """``lambda x: …`` has arguments as a function has."""
        self.visit(node.args)
        self.visit_inside(node.args, [node.body])

    def visit_inside(self, args: ast.arguments, body: Sequence[ast.AST]) -> None:
        """The body of a function, whose parameters are the arguments now."""
        around = self.arguments
        every = [*args.posonlyargs, *args.args, *args.kwonlyargs]
        every += [one for one in (args.vararg, args.kwarg) if one is not None]
        self.arguments = {one.arg for one in every}
        for node in body:
            self.visit(node)
        self.arguments = around


def start_of(node: ast.AST) -> Place:
    """Where the source of a node begins."""
    return node.lineno, node.col_offset


def end_of(node: ast.AST) -> Place:
    """Where it ends."""
    return node.end_lineno, node.end_col_offset


def byte_place(place: tuple[int, int], lines: Sequence[str]) -> Place:
    """A place of `tokenize`, which counts characters, as `ast` counts: in bytes."""
    line, column = place
    text = lines[line - 1] if line <= len(lines) else ""
    return line, column if text.isascii() else len(text[:column].encode())


def whole_strings(
    tokens: Iterator[tokenize.TokenInfo], lines: Sequence[str]
) -> Iterator[tokenize.TokenInfo]:
    """An f-string as one token again."""
    depth, start = 0, (0, 0)
    for token in tokens:
        if token.type in STRING_STARTS:
            start = token.start if depth == 0 else start
            depth += 1
        elif token.type in STRING_ENDS:
            depth -= 1
            if depth == 0:
                text = source_between(start, token.end, lines)
                kind = tokenize.STRING
                yield tokenize.TokenInfo(kind, text, start, token.end, token.line)
        elif depth == 0:
            yield token


def source_between(
    start: tuple[int, int], end: tuple[int, int], lines: Sequence[str]
) -> str:
    """The source from one place of `tokenize` to another."""
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]]
    first, *middle, last = lines[start[0] - 1 : end[0]]
    return first[start[1] :] + "".join(middle) + last[: end[1]]
