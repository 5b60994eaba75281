"""Docstrings, help texts and comments have a verb, and a function's docstring begins with it."""

from __future__ import annotations

import ast

import pytest

from tests.docs.prose import TEXT, blocks, clauses, documented, is_question
from tests.repository import ROOT, files

NAMES = [path.relative_to(ROOT).as_posix() for path in files() if path.suffix == ".py"]


OF_TESTS = [name for name in NAMES if name.startswith("tests/")]


def test_texts_have_a_verb():
    names = [name for name in NAMES if name not in OF_TESTS]
    found = [f"{name}:{line}: {text}" for name in names for line, text in clauses(ROOT / name)]
    assert not found, "begin with an imperative, or with a subject and its verb:\n" + "\n".join(found)


def test_docstrings_of_tests_are_no_questions():
    found = [
        f"{name}:{line}: {doc}"
        for name in OF_TESTS  # of others, more is asked above
        if TEXT.search(source := (ROOT / name).read_text(encoding="utf-8"))
        for node in blocks(ast.parse(source))
        for line, doc, _ in documented(node)
        if is_question(doc)
    ]
    assert not found, "say it in a sentence:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        'def keys():\n    """The keys."""',
        'def keys():\n    """Names of the keys."""',
        'def keys():\n    """Which keys there are."""',
        'class Key:\n    """What a key is."""',
        'size = 1\n"""How long it is."""',
        'def keys(size):\n    """Return keys.\n\n    Args:\n        size: How long they are.\n    """',
        'option = Option(help="Which keys to show.")',
        "size = 1  # how long it is",
        "# Whether it is known.\nknown = True",
    ],
)
def test_a_clause_is_found(tmp_path, source):
    path = tmp_path / "module.py"
    path.write_text(f"{source}\n")
    assert clauses(path)


@pytest.mark.parametrize(
    "source",
    [
        'def keys():\n    """Return the keys."""',
        'def skip():\n    """Pass the keys by."""',
        '@property\ndef keys(self):\n    """The keys."""',
        'class Key:\n    """A key."""',
        'size = 1\n"""Length in bytes."""',
        "# A key is claimed by\n# whoever writes it first.\nsize = 1",
        "size = 1  # bytes",
    ],
)
def test_a_text_with_a_verb_is_accepted(tmp_path, source):
    path = tmp_path / "module.py"
    path.write_text(f"{source}\n")
    assert not clauses(path)


@pytest.mark.parametrize(
    "source",
    [
        'def test_a():\n    """What a key is."""',
        "def test_a():\n    'what a key is'",
        'def test_a():\n    r"""\n    How it is done.\n    """',
        'class TestA:\n    """(Whose) it is."""',
        'def test_a():\n    """\\\nWhether it is."""',
    ],
)
def test_a_docstring_that_is_a_question_is_looked_at(source):
    (found,) = [doc for node in blocks(ast.parse(source)) for _, doc, _ in documented(node)]
    assert is_question(found)
    assert TEXT.search(source)
