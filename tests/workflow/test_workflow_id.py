"""An id tells one workflow from another."""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from typing import Any

import pytest

from molexp.workflow import TaskContext, WorkflowBuilder


def one(ctx: TaskContext) -> int:
    return 1


def identified(code: str, *, name: str = "w", task: str = "a", **options: Any) -> str:
    file = f"<{abs(hash(code))}>"
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    namespace: dict[str, Any] = {}
    exec(compile(code, file, "exec"), namespace)
    wf = WorkflowBuilder(name).add(one, name="first").add(one, name="second")
    wf.add(namespace["f"], name=task, **{"depends_on": ["first", "second"], **options})
    return wf.build().workflow_id


CODE = "def f(ctx):\n    return ctx.params['a'] + 1\n"


def test_a_workflow_id_is_a_short_word_and_the_same_each_time():
    assert identified(CODE) == identified(CODE)
    assert len(identified(CODE)) == 16
    assert set(identified(CODE)) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    "same",
    [
        "def f(ctx):\n    # why not\n    return ctx.params['a'] + 1  # one more\n",
        'def f( ctx ):\n\n    return (ctx.params["a"]\n        + 1)\n',
    ],
)
def test_comments_and_formatting_do_not_change_it(same):
    assert identified(same) == identified(CODE)


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("def f(ctx):\n    return ctx.params['a'] + 2\n", {}),
        (CODE, {"name": "other"}),
        (CODE, {"task": "b"}),
        (CODE, {"depends_on": ["first"]}),
        (CODE, {"depends_on": ["second", "first"]}),
        (CODE, {"map_over": "second"}),
    ],
)
def test_code_names_and_topology_change_it(code, options: Mapping[str, Any]):
    assert identified(code, **options) != identified(CODE)
