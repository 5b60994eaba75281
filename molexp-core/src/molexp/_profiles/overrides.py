"""Overrides: one value of a configuration, by its dotted name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from molexp._profiles.files import checked
from molexp._profiles.scalars import scalar
from molexp._values.ids import nearest
from molexp._values.plain import plain, restore
from molexp.errors import ProfileError


def parse_override(text: str, what: str = "override") -> tuple[str, Any]:
    """Return the name and the value of ``a.b=1``, a member for `overrides`.

    The value is read like one in a YAML file: ``1e-3``, ``true`` and ``null`` are what they look like; a list, a
    mapping or text in quotes is YAML on one line (``[1, 2]``, ``{tol: 1e-9}``, ``"1"``); any other word is text, as it
    is. The name keeps the ``+`` that says that it may be new.

    Args:
        text: the text.
        what: the word for it in errors.

    Raises:
        ProfileError: there is no name or no ``=``, the value begins like a list, a mapping or quoted text and is none,
            or it is a number that is not finite.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not name.removeprefix("+"):
        raise ProfileError("", f"the {what} {text!r} has no {'name' if equals else 'value'}", hint="Write NAME=VALUE.")
    try:
        return name, checked(_read(value), "", name)
    except ValueError as error:
        reason = error.reason if isinstance(error, ProfileError) else str(error)
        hint = "For text, put quotes around the whole value."
        raise ProfileError("", f"the {what} {text!r} has a value that cannot be used: {reason}", hint=hint) from None


def _read(value: str) -> Any:
    if value[:1] not in {"[", "{", '"', "'"}:
        return scalar(value)
    from molexp._profiles.yaml_files import read_yaml

    return read_yaml(value, "")[0]


def override(config: dict[str, Any], name: str, value: Any, *, file: str | None) -> None:
    """Set a value in a configuration, in place.

    Args:
        config: the configuration.
        name: keys with dots between them. A key may have dots itself: the longest key that is there counts. With
            ``+`` before it, it may be new.
        value: the value; a mapping replaces what is there.
        file: the profile file that the name has to come from; None if there is none, and any name may be new.

    Raises:
        ProfileError: nothing has that name, and it may not be new; or it leads into what is no mapping.
        SerializationError: JSON cannot carry the value.
    """
    value = restore(plain(value, where=f"overrides.{name}", nan=False))
    known = name.removeprefix("+")
    place = _find(config, known)
    if place is None and known == name and file is not None:
        raise ProfileError(
            file,
            f"there is no {name!r} to override",
            nearest=nearest(name, names_in(config)),
            hint=f"To add it, write '+{name}'.",
        )
    inner, key = place or _make(config, known, known)
    inner[key] = value


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """Return every way to take a dotted name apart in two, the longest first part first."""
    for end in range(len(name) - 1, -1, -1):
        if name[end] == ".":
            yield name[:end], name[end + 1 :]


def _find(config: Mapping[str, Any], name: str) -> tuple[Any, str] | None:
    """Return the mapping that has the value called `name`, and its key there."""
    if name in config:
        return config, name
    for first, rest in _splits(name):
        if isinstance(config.get(first), dict) and (found := _find(config[first], rest)):
            return found
    return None


def _make(config: dict[str, Any], name: str, whole: str) -> tuple[dict[str, Any], str]:
    """Return the mapping that is to have the value called `name`, and its key there; make the mappings on the way."""
    for first, rest in _splits(name):
        if first in config:
            if isinstance(config[first], dict):
                return _make(config[first], rest, whole)
            raise ProfileError(
                "",
                f"the override {whole!r} reaches into {first!r}, which is {config[first]!r}, not a mapping",
                hint=f"Override {whole.removesuffix(rest).removesuffix('.')!r} itself.",
            )
    *above, last = name.split(".")
    if not all((*above, last)):
        raise ProfileError("", f"the override {whole!r} is not a name", hint="Write keys with dots between them.")
    for part in above:
        config[part] = {}
        config = config[part]
    return config, last


def names_in(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of everything in a configuration."""
    for key, value in config.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from names_in(value, f"{prefix}{key}.")
