"""The kit is worth its name: each broken executor fails it, at the tests that are about what is broken."""

from __future__ import annotations

import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from molexp.testing import ExecutorTests
from tests.repository import ROOT

CAUGHT_BY = {
    "TestRaising": {"test_an_error_is_an_outcome", "test_an_error_that_does_not_travel_is_told_all_the_same"},
    "TestBlocking": {"test_calls_run_at_once_beside_the_event_loop", "test_cancelling_returns_while_the_call_goes_on"},
    "TestOneByOne": {"test_calls_run_at_once_beside_the_event_loop"},
    "TestSwallowing": {
        "test_cancelling_returns_while_the_call_goes_on",
        "test_cancelling_a_call_that_waits_for_its_turn",
    },
    "TestPatient": {"test_cancelling_returns_while_the_call_goes_on"},
    "TestForgetful": {"test_a_value_comes_back"},
    "TestOneLoop": {"test_one_event_loop_after_another"},
    "TestOnceOnly": {"test_it_works_again_after_close"},
    "TestCareless": {
        "test_an_option_that_it_does_not_know_is_named",
        "test_an_option_that_makes_no_sense_is_refused",
    },
    "TestSilent": {"test_it_says_once_that_a_call_begins"},
    "TestBoastful": {"test_whether_calls_share_this_process_is_true"},
}


@pytest.fixture(scope="module")
def failures(tmp_path_factory) -> dict[str, set[str]]:
    """Return the tests of each class that failed, in one run of pytest on all broken executors."""
    report = tmp_path_factory.mktemp("kit") / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "--tb=no", "-W", "ignore"]
    done = subprocess.run(
        [*command, f"--junitxml={report}", "tests/executors/broken_executors.py"],
        cwd=ROOT,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert report.exists(), done.stdout + done.stderr
    found: dict[str, set[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        failed = found.setdefault(case.attrib["classname"].rpartition(".")[2], set())
        if case.find("failure") is not None or case.find("error") is not None:
            failed.add(case.attrib["name"].partition("[")[0])
    return found


def test_an_executor_that_is_not_broken_passes(failures):
    assert failures["TestNothingBroken"] == set()


def test_every_broken_executor_is_listed_here(failures):
    assert failures.keys() == CAUGHT_BY.keys() | {"TestNothingBroken"}


@pytest.mark.parametrize("broken", CAUGHT_BY)
def test_a_broken_executor_is_caught(failures, broken):
    assert CAUGHT_BY[broken] <= failures[broken]


@pytest.mark.parametrize("broken", ["TestPatient", "TestOnceOnly", "TestCareless", "TestBoastful", "TestForgetful"])
def test_what_is_not_broken_is_not_blamed(failures, broken):
    assert failures[broken] <= CAUGHT_BY[broken] | {"test_cancelling_a_call_that_waits_for_its_turn"}


def test_a_forgotten_fixture_is_named_when_the_class_is_defined():
    with pytest.raises(TypeError, match="TestNone does not define executor"):

        class TestNone(ExecutorTests):
            pass
