"""The scheme `molexp-1`: the ids on the page, for ever."""

from __future__ import annotations

import json
import math
import re

import pytest
from msgspec.structs import replace

from molexp.contracts import RunIdentity
from molexp.errors import SerializationError
from molexp.plugins import default_manager
from tests.repository import ROOT

Molexp1 = default_manager().run_id_scheme("molexp-1")

PAGE = (ROOT / "docs/explanation/run-ids.md").read_text(encoding="utf-8")
VECTORS = re.findall(
    r"^\| `(\w+)` \| `(\w+)` \| `(.*)` \| `(\d)` \| `(.*)` \| `([0-9a-f]{20})` \|$", PAGE, re.MULTILINE
)

CU = RunIdentity(project="metals", experiment="cu", parameters={"a": 3.6, "n": 4}, replica=0, config={"xc": "PBE"})


def derive(**changes):
    return Molexp1().derive(replace(CU, **changes))


def test_the_page_has_its_vectors():
    assert len(VECTORS) == 4


@pytest.mark.parametrize(("project", "experiment", "parameters", "replica", "config", "expected"), VECTORS)
def test_vectors_of_the_page(project, experiment, parameters, replica, config, expected):
    identity = RunIdentity(project, experiment, json.loads(parameters), int(replica), json.loads(config))
    assert Molexp1().derive(identity) == expected


def test_a_vector_that_does_not_come_from_the_page():
    assert Molexp1.name == "molexp-1"
    assert Molexp1().derive(RunIdentity("metals", "cu", {"a": 3.6}, 0, {})) == "3d58e726095b6a0fa722"


def test_order_of_keys_and_kinds_of_numbers_do_not_count():
    assert derive(parameters={"n": 4.0, "a": 3.6}) == derive()


@pytest.mark.parametrize(
    "changes",
    [
        {"project": "metal"},
        {"experiment": "ag"},
        {"parameters": {"a": 3.6}},
        {"parameters": {"a": 3.6, "n": True}},
        {"parameters": {"a": "3.6", "n": 4}},
        {"parameters": {"a": 3.6, "n": 4 + 2**60}},
        {"replica": 1},
        {"config": {}},
        {"config": {"xc": "LDA"}},
    ],
)
def test_everything_else_counts(changes):
    assert derive(**changes) != derive()


def test_integers_that_no_double_tells_apart():
    assert derive(parameters={"seed": 2**53}) != derive(parameters={"seed": 2**53 + 1})


def test_nan_is_an_error_that_names_the_path():
    with pytest.raises(SerializationError) as caught:
        derive(parameters={"grid": [1.0, {"x": math.nan}]})
    assert caught.value.path == "parameters.grid[1].x"
