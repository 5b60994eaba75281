"""Find docstrings, help texts and comments that are clauses without a verb of their own.

- A function's docstring begins with an imperative: "Return the keys.", not "The keys." nor "What the keys are.".
- No other docstring, entry of `Args:` or `Attributes:`, help text or comment begins with a question word:
  "True if the run ended.", not "Whether the run ended.". Nor does a docstring begin with "those".

Ruff's D401 knows verbs in the wrong form ("Returns ..."). It lets pass most of what is checked here.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

Found = tuple[int, str]
"""The number of a line, and the text that begins there."""

QUESTIONS = frozenset({"how", "what", "whatever", "where", "whether", "which", "who", "whom", "whose", "why"})
# An imperative begins with none of the words that English has a fixed number of. (Nor with a plural.)
FUNCTION_WORDS = (
    "a after all also an and another any anybody anyone anything as at because before being both but by during "
    "each either every everybody everyone everything few first for from half he here if in into it its last "
    "less many more most never next no nobody none nor not nothing now of off on once one only or other our "
    "several she since so some somebody something such than that the their them then there these they this "
    "those though three through to two under unless until unlike upon we when whenever while with within "
    "without you your "
)
NOT_VERBS = QUESTIONS | frozenset(FUNCTION_WORDS.split())
COMMENT = re.compile(rf"#[#\s.,:;()]*({'|'.join(sorted(QUESTIONS))})\b", re.IGNORECASE)
"""The beginning of each comment that is a question, and of some other texts."""
TEXT = re.compile(rf"^\s*[ru]?[\"']+[\s.,:;()\\]*({'|'.join(sorted(QUESTIONS))})\b", re.IGNORECASE | re.MULTILINE)
"""The beginning of each docstring that is a question, and of some other texts."""
ENTRY = re.compile(r"^ {4,}[`*]*\w+[`*]*: +(?P<text>\w+.*)$")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def clauses(path: Path) -> list[Found]:
    """Return where a Python file has texts that lack a verb."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    found = {*docstrings(tree)}
    if "help" in source:
        found |= {*helps(tree)}
    if COMMENT.search(source):
        found |= {*comments(source)}
    return sorted(found)


def blocks(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield what may have a body of statements, without a look at expressions: most of a tree is these."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        yield (node := waiting.pop())
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, name, ())


def docstrings(tree: ast.Module) -> Iterator[Found]:
    for node in blocks(tree):
        for start, doc, is_function in documented(node):
            if lacks_verb(doc) if is_function else is_question(doc) or first_word(doc) == "those":
                yield start, doc.strip().partition("\n")[0]
            for number, line in enumerate(doc.split("\n"), start):
                entry = ENTRY.match(line)
                if entry is not None and is_question(entry["text"]):
                    yield number, line.strip()


def documented(node: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """Yield the docstrings in a body, each with its line, and with True if it is a function's own."""
    body = getattr(node, "body", None)
    if not isinstance(body, list):
        return
    for place, statement in enumerate(body):
        if not isinstance(statement, ast.Expr) or not isinstance(value := statement.value, ast.Constant):
            continue
        if isinstance(value.value, str):
            yield value.lineno, value.value, place == 0 and isinstance(node, FUNCTIONS) and not is_property(node)


def is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether users read it as an attribute, which a noun describes."""
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def helps(tree: ast.Module) -> Iterator[Found]:
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "help" and isinstance(node.value, ast.Constant):
            text = str(node.value.value)
            if is_question(text):
                yield node.value.lineno, text


def comments(source: str) -> Iterator[Found]:
    previous = -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            text = token.string.strip("# ")
            if token.start[0] != previous + 1 and is_question(text):
                yield token.start[0], text
            previous = token.start[0] if token.line.lstrip().startswith("#") else 0


def lacks_verb(text: str) -> bool:
    """Tell whether a text does not begin with an imperative, as far as its first word shows."""
    first = first_word(text)
    return not first.isalpha() or first in NOT_VERBS or (first.endswith("s") and not first.endswith("ss"))


def is_question(text: str) -> bool:
    return first_word(text) in QUESTIONS


def first_word(text: str) -> str:
    words = text.split(maxsplit=1)
    return words[0].strip(".,:;()").lower() if words else ""
