"""Queries: what the catalog answers is what the language's rules say of every run, whether SQL can tell or not."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import molexp as me
from tests.internals import is_true_of

LONG = "x" * 300
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 3, 0.1, 1.0, 2.5, -0.0, 1e300, 2**53, 2**53 + 1, 2**63, -(2**63), 10**30),
    *("", "a", "A", "ab", "a%b", "α", "1", "true", "\x00", LONG, "2026-01-01"),
    *([], [1], [1, 2], ["a", True], [None], [[1]], list(range(100)), [LONG]),
    *({}, {"b": 1}, {"b": {"c": "deep"}}, {"b.c": 2}, {"b": 1, "b.c": 2}, {"$x": 1}),
]
RESULTS: list[Any] = [math.nan, math.inf, -math.inf, [math.nan, 1], {"in": math.nan}]

LITERALS = [
    *("true", "false", "0", "1", "1.0", "-1", "3", "0.1", "2.5", "1e300", "9007199254740993", "9223372036854775808"),
    *("1000000000000000000000000000000", "nan", "inf", "-inf", '""', '"a"', '"A"', '"ab"', '"α"', '"1"', '"true"'),
    f'"{LONG}"',
]
LISTS = ["[]", "[1]", "[1.0]", "[1, 2]", '["a", true]', "[[1]]", "[nan]", f"[{', '.join(map(str, range(100)))}]"]
FIELDS = [
    *("params.v", "params.v.b", "params.v.b.c", "params.w", "results.v", "results.v.in", "results.nowhere"),
    *("status", "id", "project", "experiment", "path", "replica", "archived", "attempts", "seconds", "profile"),
    *("config.x", "config", "workflow.name", "provenance.python", "host", "created_at", "ended_at"),
]


def conditions() -> st.SearchStrategy[str]:
    field, literal = st.sampled_from(FIELDS), st.sampled_from(LITERALS)
    field_or_tags = st.sampled_from([*FIELDS, "tags"])  # which no single value is compared with
    order = st.sampled_from(["<", "<=", ">", ">="])
    equal = st.sampled_from(["==", "!="])
    return st.one_of(
        st.builds("{} {} {}".format, field, order, literal),
        st.builds("{} {} {}".format, field, equal, st.one_of(literal, st.sampled_from(LISTS))),
        st.builds("{} in ({}, {})".format, field, literal, literal),
        st.builds("{} in {}".format, st.one_of(literal, st.just("null"), st.sampled_from(LISTS)), field_or_tags),
        st.builds("{} between {} and {}".format, field, literal, literal),
        st.builds('{} like "{}"'.format, field, st.sampled_from(["%", "a%", "_", "%b", r"a\\%b", "", "%a%", "1"])),
        st.builds("{} is null".format, field_or_tags),
        st.builds("{} is not null".format, field_or_tags),
        st.builds("{} {} {}".format, field_or_tags, equal, st.sampled_from(LISTS)),
        st.builds("{} {} {}".format, field_or_tags, st.one_of(order, equal), field),
    )


QUERIES = st.recursive(
    conditions(),
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> me.Workspace:
    """Runs with every kind of value, in parameters and in results."""
    ws = me.Workspace(tmp_path_factory.mktemp("queries") / "lab")
    exp = ws.Project("metals").Experiment("cu")
    for number, value in enumerate(VALUES):
        run = exp.Run({"v": value, "w": number % 3} if number % 4 else {"w": value}, id=f"r{number}")
        if number % 3 == 0:
            continue
        with run.start() as ctx:
            ctx.set_result("v", value)
    for number, value in enumerate(RESULTS):
        with exp.Run({"v": number}, id=f"x{number}", overrides={"x": number}).start() as ctx:
            ctx.set_result("v", value)
    exp.run("r1").annotate(tags=["good", "1"])
    exp.run("r2").archive()
    with pytest.raises(ZeroDivisionError), ws.Project("alloys").Experiment("cu").Run(replica=2).start():
        _ = 1 / 0
    return ws


class Fields(dict[str, dict[str, Any]]):
    """The fields of each run; their text would fill pages where an example fails."""

    def __repr__(self) -> str:
        return f"<fields of {len(self)} runs>"


@pytest.fixture(scope="module")
def fields(lab: me.Workspace) -> Fields:
    """The fields of each run, as the reference defines them."""
    found = Fields()
    for row in lab.catalog.runs(archived=True):
        sql = "SELECT document, seconds FROM documents JOIN entities USING (id) WHERE path = ?"
        ((data, seconds),) = lab._session.index.select(sql, [row.path])
        stored = msgspec.json.decode(data)
        last = stored["execution_history"][-1] if stored["execution_history"] else {}
        found[row.path] = {
            "path": row.path,
            "id": row.id,
            "project": row.project,
            "experiment": row.experiment,
            "status": str(row.status),
            "created_at": row.created_at,
            "params": stored["parameters"],
            "results": stored["results"],
            "config": stored["config"] or {},
            "tags": stored["tags"] or None,
            "replica": stored["replica"],
            "profile": stored["profile"],
            "archived": stored.get("archived", False),
            "attempts": len(stored["execution_history"]),
            "host": last.get("host"),
            "seconds": seconds,
            "ended_at": last.get("ended_at"),
            "workflow": stored["workflow"],
            "provenance": lab.run(row.path).provenance or {},
        }
    return found


def by_the_rules(fields: dict[str, dict[str, Any]], query: str) -> set[str]:
    """Asked of each run, as the reference says."""
    return {path for path, own in fields.items() if is_true_of(query, own)}


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(query=QUERIES)
@example(query="params.v != 1")
@example(query="null in params.w")
@example(query="not (params.v == 1)")
@example(query="params.v is null")
@example(query="params.v.b != 3")
@example(query="params.v > 9223372036854775806")
@example(query="params.v == 9007199254740993")
@example(query='params.v >= "a"')
@example(query="results.v != nan")
@example(query="not (results.v in (nan, 1))")
@example(query="tags is null")
@example(query='"good" in tags and archived == false')
@example(query="config.x between 1 and 2")
def test_the_answer_is_what_the_rules_say_of_every_run(
    lab: me.Workspace, fields: dict[str, dict[str, Any]], query: str
) -> None:
    assert {row.path for row in lab.catalog.runs(query, archived=True)} == by_the_rules(fields, query)
