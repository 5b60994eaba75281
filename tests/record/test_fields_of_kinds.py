"""The class of a kind's fields is the one that its bases name."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from molexp.contracts import AssetKind, NoFields

T = TypeVar("T")
F = TypeVar("F")


def test_a_kind_without_facts_needs_to_name_no_class_of_them():
    class Note(AssetKind[str]):
        def save(self, obj, sink):
            sink.write(obj.encode())
            return NoFields()

        def load(self, source):
            return source.read().decode()

    class Letter(Note):
        pass

    assert Note.fields is Letter.fields is NoFields


def test_the_fields_of_a_kind_are_those_that_its_bases_name():
    class Facts(msgspec.Struct):
        size: int

    class Boxed(AssetKind[F, T]):
        pass

    class Listed(AssetKind[list[T], Facts]):
        pass

    class Marked(Boxed[Facts, T]):
        pass

    class Numbers(Listed[int]):
        pass

    class Letters(Boxed[Facts, NoFields]):
        pass

    class Words(Marked[Facts]):
        pass

    assert [kind.fields for kind in (Listed, Numbers, Words)] == [Facts] * 3
    assert Letters.fields is Boxed.fields is NoFields
