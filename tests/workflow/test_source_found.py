"""The code of a task has the same hash wherever and whenever it is read, or is unknown; reading it executes nothing."""

from __future__ import annotations

import ast
import doctest
import functools
import importlib
import linecache
import os
import subprocess
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.workflow.sources import TASK, TELL, changed, code_of, counter, fresh, load

# ------------------------------------------------------------------------------------------------- determinism


def test_the_same_in_all_processes_and_folders(hashed, tmp_path):
    text = (
        TASK
        + "import pathlib\nHERE = pathlib.Path(__file__)\nnames = {'a', 'b', 'c', 'd'}\n"
        + (
            "def make(*values):\n    return lambda: (values, HERE, names)\n"
            "made = make({'x', 'y', 'z'}, HERE.parent / 'data', str(HERE), {1: 2, 'b': len})\n"
        )
    )
    for subject in ("task", "made"):
        found = {
            fresh(text, "flow." + subject, tmp_path / "one", seed="1"),
            fresh(text, "flow." + subject, tmp_path / "two" / "deep", seed="2"),
            fresh(text, "flow." + subject, tmp_path / "two" / "deep", seed="0", cwd="/"),
            hashed(text, subject),
        }
        assert len(found) == 1
        assert "unknown" not in found


def test_a_script_hashes_as_the_module_it_is(tmp_path):
    (tmp_path / "flow.py").write_text(f"{textwrap.dedent(TASK)}\nif __name__ == '__main__':\n    {TELL}")
    found = {
        subprocess.run([sys.executable, name], cwd=cwd, capture_output=True, text=True, check=True).stdout.strip()
        for name, cwd in (("flow.py", tmp_path), (str(tmp_path / "flow.py"), "/"))
    }
    assert found == {fresh((tmp_path / "flow.py").read_text(), "flow.task", tmp_path)}
    assert found != {"unknown"}


LINES = st.sampled_from(["# a comment", "", "    # indented", "#: x = 1", "        "])


@given(st.lists(st.tuples(st.integers(0, 12), LINES), max_size=6), st.integers(2, 8), st.booleans())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_formatting_does_not_count(tmp_path, insertions, indent, parentheses):
    text = "Y = 2\ndef helper(v):\n    return v\ndef task(ctx):\n    if ctx:\n        return helper(ctx + 1)\n    return [Y,\n 2]\n"
    expected = virtual(text)
    if parentheses:
        text = text.replace("ctx + 1", "(ctx + (1))").replace("    ", "\t")
    else:
        text = text.replace("    ", " " * indent)
    lines = text.splitlines()
    for place, line in insertions:
        lines.insert(place, line)
    assert virtual("\n".join(lines) + "\n") == expected != "unknown"


@given(
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.booleans()
    | st.none()
    | st.binary(),
    st.data(),
)
@settings(max_examples=60)
def test_a_literal_counts(value, data):
    other = data.draw(st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False), label="other")
    for text in (
        "def task(): return {}",
        "X = {}\ndef task(): return X",
        "X = {}\ndef f(): return X\ndef task(): return f()",
    ):
        one, two = virtual(text.format(repr(value)) + "\n"), virtual(text.format(repr(other)) + "\n")
        assert "unknown" not in {one, two}
        same = ast.dump(ast.parse(repr(value))) == ast.dump(ast.parse(repr(other)))
        assert (one == two) == same


# -------------------------------------------------------------------------------------------------- cells, REPLs


def virtual(*cells, subject="task", keep=False):
    """The hash of a task that was defined in cells of a notebook."""
    namespace = {"__name__": "__main__"}
    names = []
    for cell in cells:
        names.append(f"/tmp/ipykernel_0/{next(counter)}.py")
        linecache.cache[names[-1]] = (len(cell), None, cell.splitlines(True), names[-1])
        exec(compile(cell, names[-1], "exec", dont_inherit=True), namespace)
    try:
        return code_of(namespace[subject])
    finally:
        for name in names:
            del linecache.cache[name]


def test_functions_in_cells_are_found():
    cells = ["CUTOFF = 5.0\n", "def helper(): return CUTOFF\n", "def task(ctx): return helper()\n"]
    first = virtual(*cells)
    assert first == virtual(*cells) == virtual("".join(cells)) == virtual(cells[0], "1 + 1\n", *cells[1:])
    assert len({first, virtual("CUTOFF = 6.0\n", *cells[1:]), "unknown"}) == 3
    assert virtual(*cells, "def helper(): return 2 * CUTOFF\n") not in {first, "unknown"}


def test_cells_that_disagree_are_unknown():
    cell = "def task(ctx): return CUTOFF\n"
    assert virtual("CUTOFF = 5.0\n", cell, "CUTOFF = 6.0\n") == "unknown"
    assert virtual("CUTOFF = 5.0\n", cell, "CUTOFF = 5.0 # again\n") == virtual("CUTOFF = 5.0\n", cell) != "unknown"


def test_classes_in_cells():
    cell = "import attrs\n@attrs.frozen\nclass T:\n    x: int = {}\n    def execute(self, ctx): ...\ntask = T()\n"
    assert len({virtual(cell.format(1)), virtual(cell.format(2)), "unknown"}) == 3


def test_functions_in_doctests_are_found():
    source = """
        >>> def helper(): return 1
        >>> def task(): return helper()
        >>> print(code_of(task)[:7])
        sha256:
    """
    test = doctest.DocTestParser().get_doctest(source, {"code_of": code_of, "__name__": "__main__"}, "page", "page", 0)
    assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.parametrize(
    "subject",
    [len, str.upper, int, 3, None, object(), "".join, functools.partial(len), types.SimpleNamespace(), sys, sum],
)
def test_what_has_no_source_is_unknown(subject):
    assert code_of(subject) == "unknown"


def test_code_without_source_is_unknown(hashed):
    namespace: dict[str, Any] = {"__name__": "nowhere"}
    exec("def task(): ...\nclass T:\n    def execute(self, ctx): ...\nclass U: ...", namespace)
    for name in ("task", "T", "U"):
        assert code_of(namespace[name]) == "unknown"
        assert code_of(functools.partial(namespace[name], 1)) == "unknown"
    assert hashed("exec('def helper(): ...')\ndef task(): return helper()") == "unknown"
    assert hashed("exec('def task(): ...')") == "unknown"
    assert hashed("globals()['X'] = 3\ndef task(): return X") == "unknown"
    assert (
        hashed("exec('def f(): ...')\nclass T:\n    helper = f\n    def execute(self, ctx): ...\ntask = T") == "unknown"
    )


def test_a_repl_is_unknown():
    script = f"def task(): return 1\n\n{TELL}"
    done = subprocess.run([sys.executable, "-q", "-"], input=script, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "unknown"


@pytest.mark.parametrize(
    "after",
    [
        "def task(): return 2\n",
        "\ndef task(): return 1\n",
        "x = (\n",
        "",
        "def task(): return 1 # longer\n",
        None,
        "def other(): return 1\n",
    ],
)
def test_a_file_that_changed_since_it_was_imported_is_never_wrong(tmp_path, after):
    module = load(tmp_path / "lab", "def task(): return 1\n")
    path = Path(module.__file__)
    expected = virtual("def task(): return 1\n")
    if after is None:
        path.unlink()
    else:
        path.write_text(after)
        os.utime(path, ns=(1, 1))
    found = code_of(module.task)
    assert found in {"unknown", expected}
    assert after == "def task(): return 1 # longer\n" or found == "unknown"


def test_a_module_stays_as_it_was_hashed_first_until_it_is_loaded_again(tmp_path):
    module = load(tmp_path / "lab", "X = [1]\ndef task(): return X\ndef late(): return X\n")
    path = Path(module.__file__)
    first = code_of(module.task)
    path.write_text("X = [2]\ndef task(): return X\ndef late(): return X\n")
    os.utime(path, ns=(10**18, 10**18))
    assert code_of(module.task) == first == code_of(module.late)
    sys.path.insert(0, str(path.parent))
    try:
        importlib.reload(module)
    finally:
        sys.path.pop(0)
    assert len({code_of(module.task), first, "unknown"}) == 3


def test_a_helper_that_is_replaced_is_noticed(tmp_path):
    module = load(tmp_path / "lab", "def helper(): return 1\ndef other(): return 2\ndef task(): return helper()\n")
    first = code_of(module.task)
    assert code_of(module.task) == first
    module.helper, kept = module.other, module.helper
    assert len({code_of(module.task), first, "unknown"}) == 3
    module.helper = kept
    assert code_of(module.task) == first
    module.helper.__defaults__ = ()
    module.helper.__code__ = module.other.__code__
    assert code_of(module.task) != first


def test_a_method_that_is_replaced_is_noticed(tmp_path):
    module = load(
        tmp_path / "lab", "class K:\n    def f(self): return 1\ndef g(self): return 2\ndef task(): return K().f()\n"
    )
    first = code_of(module.task)
    module.K.f = module.g
    assert len({code_of(module.task), first, "unknown"}) == 3


def test_assert_statements_that_pytest_has_rewritten():
    def task(ctx):
        assert ctx == 1, "one"
        return 2

    assert code_of(task) != "unknown"


# ------------------------------------------------------------------------------------------ nothing is executed


class Trap(type):
    def __getattribute__(cls, name):
        raise AssertionError(f"asked a class for {name}")

    def __eq__(cls, other):
        raise AssertionError("compared a class")

    def __hash__(cls):
        raise AssertionError("hashed a class")

    def __instancecheck__(cls, instance):
        raise AssertionError("asked for instances")


class Wild(metaclass=Trap):
    def __getattribute__(self, name):
        raise AssertionError(f"asked for {name}")

    def __repr__(self):
        raise AssertionError("asked for text")

    def __eq__(self, other):
        raise AssertionError("compared")

    def __hash__(self):
        raise AssertionError("hashed")

    def __bool__(self):
        raise AssertionError("asked for truth")

    def __len__(self):
        raise AssertionError("asked for length")

    def execute(self, ctx):
        return 1


class Words(str):
    __slots__ = ()

    def __str__(self):
        raise AssertionError("asked for text")

    __repr__ = __iter__ = __eq__ = __str__  # type: ignore[assignment]  # traps
    __hash__ = str.__hash__


class Items(dict[str, int]):
    def items(self):
        raise AssertionError("asked for items")

    __iter__ = __len__ = __getitem__ = keys = values = items  # type: ignore[assignment]  # traps


def test_nothing_is_executed():
    wild, items = object.__new__(Wild), Items(a=1)

    def task(ctx, x=wild, y=(wild, [wild], {"a": wild}), z=items, *, k=wild):
        return wild, items, Wild

    for subject in (
        task,
        wild,
        Wild,
        functools.partial(task, wild, Wild, Words("a")),
        functools.partial(task, {Words("a"): 1}),
    ):
        assert code_of(subject).startswith("sha256:")


def test_cached_properties_do_not_count(tmp_path):
    module = load(
        tmp_path / "lab",
        "import functools\nclass T:\n    @functools.cached_property\n    def x(self): return 1\n    def execute(self, ctx): return self.x\nt = T()",
    )
    first = code_of(module.t)
    module.t.execute(None)
    assert code_of(module.t) == first != "unknown"


def test_contents_that_hold_themselves():
    loop: list[object] = []
    loop.append(loop)
    assert code_of(functools.partial(changed, loop)) == code_of(functools.partial(changed, loop)) != "unknown"


def test_many_tasks_of_one_factory_read_and_parse_nothing(tmp_path, monkeypatch):
    module = load(
        tmp_path / "lab",
        "X = 3\ndef helper(): return X\ndef make(i):\n    def inner(ctx): return helper() + i\n    return inner\n",
    )
    code_of(module.make(-1))
    for name in ("parse", "unparse", "walk"):
        monkeypatch.setattr(ast, name, lambda *_, **__: pytest.fail("parsed again"))
    monkeypatch.setattr(linecache, "getlines", lambda *_: pytest.fail("read again"))
    assert len({code_of(module.make(i)) for i in range(500)}) == 500
