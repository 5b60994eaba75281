"""Properties that are computed once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")


class kept(cached_property[T]):  # noqa: N801 - it is used as a decorator
    """A `cached_property` for what asks a store: it holds no lock meanwhile.

    That of Python 3.11 holds one for all objects of the class: a store that does not answer would block every other one,
    and a child that is forked meanwhile for ever. Two threads may compute it at once; what the first one found counts.
    """

    if not TYPE_CHECKING:

        def __get__(self, instance: Any, owner: Any = None) -> Any:
            if instance is None:
                return self
            return vars(instance).setdefault(self.attrname, self.func(instance))
