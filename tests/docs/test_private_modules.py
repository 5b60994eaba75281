"""Tests use what users use: public names, files, environment variables, processes. What is excepted is named here."""

from __future__ import annotations

import re
from fnmatch import fnmatch

from tests.repository import ROOT

PRIVATE = re.compile(r"\bmolexp\._\w|\bfrom molexp import _|\bfrom molexp\.\w+(?:\.\w+)* import _|\bmolexp\.\w+\._\w")
AT_MOST = 15

EXCEPTED = {
    "tests/internals.py": "the one place that names moments and limits inside the core, for all tests",
    "tests/executors/builtin.py": "the same for executors and what their conformance kit submits",
    "tests/plugins/local_queue.py": "the same for the local queue, whose subclasses are its defects",
    "tests/model/*": "simulates the protocol, operation by operation, on a storage of its own",
    "tests/power/*": "the same with power cuts",
    "tests/values/*": "unit tests of values and of the query language, for which a workspace would be in the way",
    "tests/record/test_own_values.py": "a unit test of values",
    "tests/record/test_secrets.py": "texts by the thousand, each of which would be a process",
    "tests/record/test_owners.py": "owners, launches and orders of events that no run makes on demand",
    "tests/record/test_columns.py": "adds a column to the private table of columns",
    "tests/stores/test_memory.py": "its back door is the store's own dictionary",
    "tests/workflow/sources.py": "hashes the source of functions, of which no public name gives the parts",
}


def found():
    """Every module of the tests that names a private module of the core."""
    paths = sorted((ROOT / "tests").rglob("*.py"))
    own = "tests/docs/test_private_modules.py"
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    return [name for name, text in texts.items() if name != own and PRIVATE.search(text)]


def test_tests_use_public_names():
    names = found()
    foreign = [name for name in names if not any(fnmatch(name, pattern) for pattern in EXCEPTED)]
    assert not foreign, "use public names or files, or name the moment in tests/internals.py"
    assert not [pattern for pattern in EXCEPTED if not any(fnmatch(name, pattern) for name in names)], "not needed"


def test_few_modules_need_an_exception():
    modules = [name for name in found() if name.rpartition("/")[2].startswith("test_")]
    assert len(modules) <= AT_MOST, modules


def test_moments_and_limits_are_those_of_the_core():
    """A name that is gone would let its test fail far from here."""
    from tests import internals

    for place in (*internals.LIMITS.values(), *internals.MOMENTS.values()):
        holder, name = internals.place_of(place)
        assert hasattr(holder, name), place
