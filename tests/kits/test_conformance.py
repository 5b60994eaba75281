"""A kit is filled in, and its checks are replaced, on purpose only."""

from __future__ import annotations

import pytest

from molexp.testing import Conformance, StoreTests, declared_override, required


def test_an_abstract_class_between_may_leave_methods_out_but_not_its_subclasses():
    class Between(StoreTests, abstract=True):
        def raw_write(self, store, key, data): ...

    with pytest.raises(TypeError, match="break_storage, raw_keys, raw_read, store"):

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
