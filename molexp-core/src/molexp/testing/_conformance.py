"""The base of conformance kits, and the declarations of their subclasses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])
_REASON = "__molexp_override_reason__"
_REQUIRED = "__molexp_required__"


def declared_override(reason: str) -> Callable[[_F], _F]:
    """Mark a method of a kit's subclass that replaces an inherited test on purpose.

    Args:
        reason: the reason that the contract's own test does not fit.

    Raises:
        ValueError: the reason is empty.
    """
    if not reason.strip():
        raise ValueError("declared_override needs a reason, which whoever reads the tests will want to know.")

    def mark(method: _F) -> _F:
        setattr(method, _REASON, reason)
        return method

    return mark


def required(method: _F) -> _F:
    """Mark a method of a kit that each subclass must define."""
    setattr(method, _REQUIRED, True)
    return method


class Conformance:
    """A kit: its subclasses say how to reach an implementation, and inherit the tests.

    Defining a subclass raises `TypeError`, so that nothing is tested by accident in part, if it

    - leaves out a method that the kit marks with `required`, unless it is declared with ``abstract=True``;
    - replaces an inherited test without `declared_override`;
    - declares the override of something that is no inherited test.
    """

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _check_overrides(cls)
        if not abstract:
            _check_required(cls)


def _check_overrides(cls: type) -> None:
    for name, value in vars(cls).items():
        inherited = name.startswith("test") and any(name in vars(base) for base in cls.__mro__[1:])
        declared = hasattr(value, _REASON)
        if inherited and not declared:
            raise TypeError(
                f"{cls.__name__}.{name} replaces a conformance test. Rename it, or mark it with "
                "@declared_override('why the contract does not fit')."
            )
        if declared and not inherited:
            raise TypeError(
                f"{cls.__name__}.{name} is a declared override, but there is no inherited test of that name."
            )


def _check_required(cls: type) -> None:
    missing = [name for name in dir(cls) if hasattr(getattr(cls, name), _REQUIRED)]
    if missing:
        raise TypeError(
            f"{cls.__name__} does not define {', '.join(missing)}. Define them, or declare the class with abstract=True "
            "if its subclasses will."
        )
