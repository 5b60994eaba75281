"""The kit is worth its name: each broken store fails it, at the tests that are about what is broken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from molexp.testing import Conformance, StoreTests, declared_override, required

ROOT = Path(__file__).parents[2]

CAUGHT_BY = {
    "TestLostWrite": {
        "test_write_replaces_what_was_there",
        "test_version_changes_whenever_the_bytes_do",
        "test_every_change_is_listed_at_once_here_and_in_a_copy",
    },
    "TestCheckThenWrite": {"test_one_of_many_threads_creates"},
    "TestOverwritingCreate": {
        "test_create_refuses_a_taken_key_and_changes_nothing",
        "test_one_of_many_threads_creates",
        "test_an_exclusive_appender_claims_its_key",
    },
    "TestTornWrite": {
        "test_threads_read_one_whole_value_while_others_replace_it",
        "test_a_symlink_is_a_key_that_is_not_followed",  # it writes to what is there, and a link leads elsewhere
        "test_nothing_is_reached_by_a_symlink_among_the_folders",
    },
    "TestTornCreate": {"test_a_created_key_is_whole_when_it_is_first_seen"},
    "TestStaleList": {
        "test_every_change_is_listed_at_once_here_and_in_a_copy",
        "test_what_others_do_is_listed",
    },
    "TestPrefixConfusion": {
        "test_list_yields_what_is_below_the_folder",
        "test_nothing_is_reached_by_a_symlink_among_the_folders",
    },
    "TestShortListing": {"test_many_keys_are_all_listed"},
    "TestStreamInPlace": {
        "test_a_stream_appears_when_it_is_left",
        "test_a_stream_replaces_when_it_is_left",
        "test_an_aborted_stream_leaves_nothing",
        "test_an_aborted_stream_leaves_what_was_there",
        "test_a_stream_that_nobody_enters_leaves_nothing",
    },
    "TestSilentStore": {"test_the_pieces_of_a_file_add_up_to_its_size"},
    "TestTrustingAppend": {
        "test_an_invalid_key_is_refused_by_every_operation",
        "test_append_makes_no_file",
        "test_append_to_a_renamed_file_is_refused",
    },
    "TestOverwritingRename": {"test_rename_refuses_a_taken_name"},
    "TestBoastfulStore": {"test_what_is_not_declared_is_refused_and_what_is_works"},
    "TestFollowingStore": {
        "test_a_symlink_is_a_key_that_is_not_followed",
        "test_nothing_is_reached_by_a_symlink_among_the_folders",
    },
    "TestDenyingStore": {"test_a_symlink_is_read_through_when_that_is_asked_for"},
    "TestSecretiveStore": {"test_what_is_not_declared_is_refused_and_what_is_works"},
    "TestCarelessStore": {"test_an_unknown_option_is_named", "test_secrets_are_kept"},
}


@pytest.fixture(scope="module")
def failures(tmp_path_factory) -> dict[str, set[str]]:
    """Return the tests of each class that failed, in one run of pytest on all broken stores."""
    report = tmp_path_factory.mktemp("kit") / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", f"--junitxml={report}"]
    environment = {**os.environ, "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        [*command, "tests/stores/broken_stores.py"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1000,  # the gate has a limit of its own
    )
    assert report.exists(), done.stdout + done.stderr
    found: dict[str, set[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        failed = found.setdefault(case.attrib["classname"].rpartition(".")[2], set())
        if case.find("failure") is not None or case.find("error") is not None:
            failed.add(case.attrib["name"].partition("[")[0])
    return found


@pytest.mark.soak
def test_a_store_that_is_not_broken_passes(failures):
    assert failures["TestNothingBroken"] == set()


@pytest.mark.soak
def test_every_broken_store_is_listed_here(failures):
    assert failures.keys() == CAUGHT_BY.keys() | {"TestNothingBroken"}


@pytest.mark.soak
@pytest.mark.parametrize("broken", CAUGHT_BY)
def test_a_broken_store_is_caught(failures, broken):
    assert CAUGHT_BY[broken] <= failures[broken]


@pytest.mark.soak
@pytest.mark.parametrize(
    "broken", ["TestPrefixConfusion", "TestShortListing", "TestTornWrite", "TestOverwritingRename"]
)
def test_what_is_not_broken_is_not_blamed(failures, broken):
    assert failures[broken] <= CAUGHT_BY[broken] | {
        "test_threads_read_one_whole_value_while_others_replace_it",
        "test_version_changes_whenever_the_bytes_do",
        "test_children_is_one_level_and_sorted",
        "test_one_of_many_threads_renames",
    }


def test_a_forgotten_method_is_named_when_the_class_is_defined():
    with pytest.raises(TypeError, match="TestHalf does not define raw_keys, store"):

        class TestHalf(StoreTests):
            def raw_write(self, store, key, data): ...

            def raw_read(self, store, key): ...


def test_an_abstract_class_between_may_leave_methods_out_but_not_its_subclasses():
    class Between(StoreTests, abstract=True):
        def raw_write(self, store, key, data): ...

    with pytest.raises(TypeError, match="raw_keys, raw_read, store"):

        class TestBelow(Between):
            pass


def test_replacing_an_inherited_test_must_be_declared():
    with pytest.raises(TypeError, match=r"Mine\.test_exists replaces a conformance test"):

        class Mine(StoreTests, abstract=True):
            def test_exists(self, store): ...

    with pytest.raises(TypeError, match=r"Off\.test_exists replaces a conformance test"):

        class Off(StoreTests, abstract=True):
            test_exists = None  # type: ignore[assignment]


def test_a_declared_override_is_accepted_again_and_again():
    class Mine(StoreTests, abstract=True):
        @declared_override("there is a reason")
        def test_exists(self, store): ...

        def test_something_of_my_own(self, store): ...

    with pytest.raises(TypeError, match="test_something_of_my_own replaces"):

        class Below(Mine, abstract=True):
            def test_something_of_my_own(self, store): ...


def test_an_override_of_nothing_is_a_misspelling():
    with pytest.raises(TypeError, match=r"test_exist is a declared override, but there is no inherited test"):

        class Mine(StoreTests, abstract=True):
            @declared_override("there is a reason")
            def test_exist(self, store): ...


def test_an_override_needs_a_reason():
    with pytest.raises(ValueError, match="reason"):
        declared_override(" ")


def test_other_kits_are_made_the_same_way():
    class Kit(Conformance, abstract=True):
        @required
        def thing(self): ...

        def test_thing(self): ...

    with pytest.raises(TypeError, match="does not define thing"):

        class TestThing(Kit):
            pass
