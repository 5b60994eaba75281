"""The code of a task has one hash: what counts, and what does not."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.workflow.sources import TASK, all_fresh, changed, code_of, load


def test_the_hash_of_a_task_is_a_sha256(hashed):
    assert hashed(TASK).startswith("sha256:")
    assert len(hashed(TASK)) == len("sha256:") + 64


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("retries=1)\ndef task", "retries=3)\ndef task"),
        ("@mark(retries=1)\n", ""),
        ("def task(ctx):", "def  task( ctx ) : # comment\n\n"),
        ("return helper(2) + START", "return (helper(2) # why\n  +   START)"),
        ("def task(ctx)", "def other(ctx)"),
        ("x * CUTOFF", "(x  *  CUTOFF)  # product"),
        ("CUTOFF = 5.0", "CUTOFF  =  (5.0)"),
        ("CUTOFF = 5.0", "CUTOFF = 5.0\nUNUSED = 1"),
        ("def helper", "def unused(): return 1\ndef helper"),
    ],
)
def test_what_does_not_count(hashed, old, new):
    name = "other" if "other" in new else "task"
    assert hashed(changed(old, new), name) == hashed(TASK) != "unknown"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("helper(2)", "helper(3)"),
        ('"Relax."', '"Relaxes."'),
        ("def task(ctx)", "def task(context)"),
        ("def task(ctx)", "async def task(ctx)"),
        ("return helper(2)", "yield helper(2)"),
        ("x * CUTOFF", "x + CUTOFF"),
        ("CUTOFF = 5.0", "CUTOFF = 6.0"),
        ("CUTOFF = 5.0", "CUTOFF = 5"),
        ("CUTOFF = 5.0", "BASE = 1.0\nCUTOFF = BASE * 5"),
        ("CUTOFF = 5.0", "CUTOFF = 5.0\nCUTOFF += 1"),
        ('{"a": 1}', '{"a": 1}\nTABLE["a"] = 2'),
        ('{"a": 1}', '{"a": 1}\nTABLE.update(a=2)'),
        ("time.time()", "time.time() + 1"),
        ("import functools, math", "import functools, cmath as math"),
    ],
)
def test_what_counts(hashed, old, new):
    assert hashed(changed(old, new)) not in {hashed(TASK), "unknown"}


def test_names_in_statements_are_followed(hashed):
    text = "BASE = {}\ndef made(): return {}\nHANDLERS = {{'a': made()}}\nX = [BASE]\ndef task(): return HANDLERS, X"
    seen = {hashed(text.format(*values)) for values in [(1, 1), (2, 1), (1, 2)]}
    assert len(seen) == 3


def test_values_count_unless_they_follow_from_the_clock(tmp_path):
    module = load(tmp_path / "lab", TASK)
    first = code_of(module.task)
    module.START += 1
    assert code_of(module.task) == first
    module.TABLE["a"], table = 9, module.TABLE["a"]
    assert len({code_of(module.task), first, "unknown"}) == 3
    module.TABLE["a"], module.CUTOFF = table, 7.0
    assert len({code_of(module.task), first, "unknown"}) == 3
    module.CUTOFF = 5.0
    assert code_of(module.task) == first


@pytest.mark.parametrize(
    "made",
    [
        "import numpy as np\nX = np.random.rand(3)",
        "import numpy as np\nX = np.random.default_rng()",
        "from numpy.random import default_rng\nX = default_rng().normal(size=2)",
        "def new():\n    import uuid\n    return uuid.uuid4().hex\nX = new()",
        "from pathlib import Path\nX = Path.cwd()",
        "import pathlib\nX = pathlib.Path.cwd() / 'out'",
    ],
)
def test_what_each_process_has_anew_does_not_count(hashed, made, tmp_path, monkeypatch):
    text = f"{made}\ndef task(): return X"
    first = hashed(text)
    monkeypatch.chdir(tmp_path.parent)
    assert hashed(text) == first != "unknown"


@pytest.mark.parametrize(
    "made",
    [
        "import sys\nX = sys.argv[1:]",
        "from sys import argv\nX = argv[-1]",
        "import sys\ndef f(): return sys.argv\nX = f()",
    ],
)
def test_arguments_of_the_command_line_count(hashed, made, monkeypatch):
    seen = set()
    for rate in ("0.1", "0.2"):
        monkeypatch.setattr("sys.argv", ["flow.py", rate])
        seen.add(hashed(f"{made}\ndef task(): return X"))
    assert len(seen - {"unknown"}) == 2


def test_a_global_that_the_task_itself_changes_does_not_count(tmp_path):
    module = load(tmp_path / "lab", "N = 0\ndef task():\n    global N\n    N += 1\n    return N")
    first = code_of(module.task)
    module.task()
    assert code_of(module.task) == first != "unknown"


def test_cycles_end_and_renaming_a_helper_counts(hashed):
    text = "def a(n): return b(n)\ndef b(n): return a(n) + {}\ndef task(n): return task(n - 1) + a(n)"
    assert hashed(text.format(1)) == hashed(text.format(1))
    assert len({hashed(text.format(1)), hashed(text.format(2)), "unknown"}) == 3


def test_decorators_of_a_recursive_task_do_not_count(hashed):
    text = "def mark(n): return lambda f: f\n@mark({})\ndef task(n): return task(n - 1)"
    assert hashed(text.format(1)) == hashed(text.format(2)) != "unknown"


# ------------------------------------------------------------------------------------------- forms of a task

FORMS = {
    "closure": ("def make(x):\n    def inner(ctx): return x\n    return inner\ntask = make({})", "task"),
    "default": ("def make(x):\n    def inner(ctx, y=x): return y\n    return inner\ntask = make({})", "task"),
    "keyword": ("def make(x):\n    def inner(ctx, *, y=x): return y\n    return inner\ntask = make({})", "task"),
    "lambda": ("a, task = lambda c: c, lambda c: c + {}", "task"),
    "nested lambda": ("task = (lambda: lambda c: c + {})()", "task"),
    "partial": ("from functools import partial\ndef f(a, ctx): return a\ntask = partial(f, {})", "task"),
    "keyword of a partial": ("from functools import partial\ndef f(a): ...\ntask = partial(f, a={})", "task"),
    "instance": ("class T:\n    def __init__(s, x): s.x = x\n    def execute(s, c): return s.x\nt = T({})", "t"),
    "method": ("class T:\n    def __init__(s, x): s.x = x\n    def execute(s, c): return s.x\nt = T({})", "t.execute"),
    "slots": (
        "class T:\n  __slots__ = ('x',)\n  def __init__(s, x): s.x = x\n  def execute(s, c): ...\nt = T({})",
        "t",
    ),
    "class": ("class T:\n    def execute(self, ctx): return {}", "T"),
    "class attribute": ("class T:\n    cutoff = {}\n    def execute(self, ctx): return self.cutoff", "T"),
    "class in a function": ("def m(x):\n class T:\n  c = x\n  def execute(s, c): ...\n return T\nt = m({})", "t"),
    "closure of a method": ("def m(x):\n class T:\n  def execute(s, c): return x\n return T()\nt = m({})", "t"),
    "base": ("class B:\n    def help(self): return {}\nclass T(B):\n    def execute(self, ctx): ...", "T"),
    "attrs": ("import attrs\n@attrs.define\nclass T:\n  x: int\n  def execute(s, c): ...\nt = T({})", "t"),
    "frozen attrs": ("import attrs\n@attrs.frozen\nclass T:\n  x: int = {}\n  def execute(s, c): ...\nt = T()", "t"),
    "dataclass": (
        "from dataclasses import *\n@dataclass\nclass T:\n  x: int\n  def execute(s, c): ...\nt = T({})",
        "t",
    ),
    "class method": ("class T:\n    @classmethod\n    def execute(cls, ctx): return {}", "T.execute"),
    "static method": ("class T:\n    @staticmethod\n    def execute(ctx): return {}", "T.execute"),
    "method of the standard library": ("import queue\nt = queue.Queue({}).get", "t"),
    "property": (
        "class T:\n    @property\n    def x(self): return {}\n    def execute(self, ctx): return self.x",
        "T()",
    ),
    "cached": ("import functools\n@functools.cache\ndef task(ctx): return {}", "task"),
    "cached helper": ("import functools\n@functools.cache\ndef f(): return {}\ndef task(ctx): return f()", "task"),
    "context manager": (
        "import contextlib\n@contextlib.contextmanager\ndef f(): yield {}\ndef task(ctx):\n  with f(): ...",
        "task",
    ),
    "wrapped": (
        "import functools\ndef d(f):\n @functools.wraps(f)\n def w(c): return f(c)\n return w\n@d\ndef task(c): return {}",
        "task",
    ),
    "wrapper": (
        "import functools\ndef d(f):\n @functools.wraps(f)\n def w(c): return {}\n return w\n@d\ndef task(c): ...",
        "task",
    ),
    "not wrapped": ("def d(f):\n def w(c): return f(c)\n return w\n@d\ndef task(c): return {}", "task"),
    "helper made": ("def m(x):\n def f(): return x\n return f\nh = m({})\ndef task(): return h()", "task"),
    "helper partial": ("from functools import partial\nh = partial(max, {})\ndef task(): return h()", "task"),
    "helper class": ("class H:\n    def go(self): return {}\ndef task(): return H().go()", "task"),
    "enum": ("import enum\nclass E(enum.Enum):\n    A = {}\ndef task(): return E.A", "task"),
    "named tuple": (
        "import collections\nP = collections.namedtuple('P', 'a', defaults=[{}])\ndef task(): return P()",
        "task",
    ),
    "typed tuple": ("import typing\nclass P(typing.NamedTuple):\n    a: int = {}\ndef task(): return P()", "task"),
    "conditional": ("import sys\nif sys.argv is not None:\n    X = {}\nelse:\n    X = 0\ndef task(): return X", "task"),
    "condition": ("FAST = {}\nif FAST:\n    X = 1\nelse:\n    X = 0\ndef task(): return X", "task"),
    "handler": ("try:\n    import nothing_here as n\nexcept ImportError:\n    n = {}\ndef task(): return n", "task"),
    "loop": ("X = 0\nfor i in range({}):\n    X += i\ndef task(): return X", "task"),
    "set elsewhere": ("T = None\ndef init():\n    global T\n    T = [{}]\ninit()\ndef task(): return T", "task"),
    "nested code": ("X = {}\ndef task():\n    def inner(): return [X for _ in '']\n    return inner", "task"),
    "docstring of the module": ("'''Page {}'''\ndef task(): return __doc__", "task"),
    "settings": ("class S:\n  def __init__(s, x): s.x = x\ndef m(s): return lambda c: s.x\nt = m(S({}))", "t"),
    "namespace": ("from types import SimpleNamespace as N\ndef m(s): return lambda c: s.x\nt = m(N(x={}))", "t"),
    "arguments": ("from argparse import Namespace as N\ndef m(s): return lambda c: s.x\nt = m(N(x={}))", "t"),
    "text of a class": ("class S(str): ...\ndef m(s): return lambda c: s\nt = m(S('{}'))", "t"),
    "proxy": ("from types import *\ndef m(s): return lambda c: s\nt = m(MappingProxyType({{'a': {}}}))", "t"),
    "getter": ("import operator\ndef m(s): return lambda c: s\nt = m(operator.itemgetter({}))", "t"),
    "ordered": ("import collections as C\ndef m(s): return lambda c: s\nt = m(C.OrderedDict(a={}))", "t"),
    "array": ("import numpy\ndef m(s): return lambda c: s\nt = m(numpy.arange(9) + {})", "t"),
    "containers": (
        "def m(s): return lambda c: s\nt = m([{{'a': ({},)}}, {{1, 'b', 'c', 'd', 'e'}}, None, b'x', 1j, range(3)])",
        "t",
    ),
    "function in a container": ("def f(): return {}\ndef m(s): return lambda c: s\nt = m({{'a': [f]}})", "t"),
    "values": (
        """import datetime as d, decimal, pathlib, re, uuid\ndef m(*s): return lambda c: s
t = m(d.datetime(2020, 1, {0}), decimal.Decimal({0}), pathlib.Path('/{0}'), re.compile('{0}'), d.timedelta({0}))""",
        "t",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_tasks_of_every_form_are_hashed_by_their_code(hashed, form):
    text, subject = FORMS[form]
    one, again, two = (hashed(text.format(value), subject) for value in (1, 1, 2))
    assert one == again
    assert len({one, two, "unknown"}) == 3


def test_tasks_of_every_form_have_one_hash_in_all_processes(hashed, tmp_path):
    names = ("values", "arguments", "attrs", "function in a container", "containers", "class", "wrapped", "array")
    forms = [(text.format(1), subject) for text, subject in map(FORMS.__getitem__, names)]
    here = [(name, hashed(*form)) for name, form in zip(names, forms, strict=True)]
    for seed in ("1", "2"):
        assert [*zip(names, all_fresh(forms, tmp_path / seed, seed), strict=True)] == here


def test_what_a_dataclass_makes_of_its_fields_does_not_count(hashed):
    text = """
        import dataclasses, numpy
        @dataclasses.dataclass
        class T:
            seed: int
            def __post_init__(self): self.numbers = numpy.random.default_rng(self.seed)
            def execute(self, ctx): ...
        t = T({})
        """
    one, again, two = (hashed(text.format(seed), "t") for seed in (1, 1, 2))
    assert one == again
    assert len({one, two, "unknown"}) == 3


def test_integers_floats_and_booleans_differ(hashed):
    text, subject = FORMS["closure"]
    assert len({hashed(text.format(value), subject) for value in ("1", "1.0", "True", "'1'", "(1,)", "[1]")}) == 6


def test_the_same_task_of_other_objects(hashed):
    text = "import functools\ndef f(x, y): ...\ntask = functools.partial(f, {})"
    ufuncs = {
        hashed("import numpy\n" + text.format(value)) for value in ("numpy.sin", "numpy.cos", "len", "max", "int")
    }
    assert len(ufuncs) == 5


# ------------------------------------------------------------------------------------------------ other modules


@pytest.mark.parametrize(
    "text",
    [
        "from helpers import f\ndef task(): return f()",
        "import helpers\ndef task(): return helpers.f()",
        "import helpers as h\ndef task(): return h.f()",
        "from helpers import *\ndef task(): return f()",
        "import helpers\ndef task(): return getattr(helpers, 'f')()",
        "def task():\n    from helpers import f\n    return f()",
        "def task():\n    import helpers\n    return helpers.f()",
        "from functools import partial\nfrom helpers import f\ng = partial(f)\ndef task(): return g()",
        "from helpers import K\ndef task(): return K().go()",
        "from helpers import X\ndef task(): return X",
        "from helpers import *\ndef task(): return X",
        "import helpers\nclass T(helpers.K):\n    def execute(self, ctx): return self.go()\ntask = T",
    ],
)
@pytest.mark.parametrize("change", ["VALUE = 1", "return g()", "X = VALUE"])
def test_modules_of_the_same_folder_count(hashed, text, change):
    helpers = "VALUE = 1\nX = VALUE\ndef g(): return X\ndef f(): return g()\nclass K:\n    def go(self): return g()\n"
    if change == "return g()" and "X" in text:
        return
    one, again, two = (
        hashed(text, helpers=content)
        for content in (helpers, "# comment\n" + helpers, helpers.replace(change, change.replace("1", "2") + " + 0"))
    )
    assert one == again
    assert len({one, two, "unknown"}) == 3


def test_names_of_the_same_folder_that_are_not_used_do_not_count(hashed):
    text = "import helpers\ndef task(): return helpers.f()"
    assert hashed(text, helpers="def f(): ...\ndef g(): ...") == hashed(text, helpers="def f(): ...\ndef h(): ...")


def test_packages_below_count(hashed):
    text = "from sub.inner import f\ndef task(): return f()"
    others = {"sub____init__": "", "sub__inner": "from .deep import g\ndef f(): return g()"}
    one, two = (hashed(text, **others, sub__deep=f"def g(): return {value}") for value in (1, 2))
    assert len({one, two, "unknown"}) == 3


@pytest.mark.parametrize("text", ["", "import typing\nif typing.TYPE_CHECKING: import helpers\n"])
def test_whether_a_lazy_import_has_happened_does_not_matter(tmp_path, text):
    text += "def task():\n    import helpers\n    return helpers.x"
    module = load(tmp_path / "lab", text, helpers="import gc\ngc.collect()\nx = 1")
    first = code_of(module.task)
    sys.path.insert(0, str(tmp_path / "lab"))
    try:
        module.task()
    finally:
        sys.path.pop(0)
    assert code_of(module.task) == first != "unknown"


@pytest.mark.parametrize(
    "text",
    [
        "from own import _bisect\ndef task(): return _bisect.insort_right",
        "from own._bisect import insort_right\ndef task(): return insort_right",
        "def task():\n    import own._bisect",
        "from own import _bisect\ndef make(f): return lambda: f()\ntask = make(_bisect.insort_right)",
    ],
)
def test_compiled_modules_count_by_their_bytes(tmp_path, monkeypatch, text):
    spec = find_spec("_bisect")
    compiled = Path(spec.origin if spec and spec.origin else "")
    if not compiled.is_file():
        pytest.skip("this Python has no extension module to copy")
    hashes = []
    for number, more in enumerate([b"", b"", b"more"]):
        folder = tmp_path / str(number)
        (folder / "own").mkdir(parents=True)
        (folder / "own" / "__init__.py").touch()
        (folder / "own" / compiled.name).write_bytes(compiled.read_bytes() + more)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder))
            hashes.append(code_of(load(folder / "lab", text).task))
        for name in ("own", "own._bisect"):
            sys.modules.pop(name, None)
    assert hashes[0] == hashes[1] != hashes[2]
    assert "unknown" not in hashes


def test_modules_elsewhere_count_by_name(hashed):
    text = "import {}\ndef task(): return {}.dumps(1)"
    json, pickle = hashed(text.format("json", "json")), hashed(text.format("pickle", "pickle"))
    assert len({json, pickle, "unknown"}) == 3
    assert hashed("from json import dumps\ndef task(): return dumps") != hashed(
        "from pickle import dumps\ndef task(): return dumps"
    )


def test_packages_installed_below_count_by_name(hashed):
    text = "import sys\nsys.path.insert(0, __file__.replace('flow.py', 'site-packages'))\nimport installed_thing as i\nsys.path.pop(0)\nsys.modules.pop('installed_thing')\ndef task(): return i.f()"
    versions = {hashed(text, **{"site-packages__installed_thing": f"def f(): return {value}"}) for value in (1, 2)}
    assert len(versions) == 1
    assert versions != {"unknown"}
