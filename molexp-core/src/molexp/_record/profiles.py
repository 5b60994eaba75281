"""Configuration of a run: overrides by dotted name. Profile files come with the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from molexp._values.plain import plain
from molexp.errors import MolexpError


def resolve_profile(profile: str | None, overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    """The configuration that a profile with overrides amounts to.

    Raises:
        MolexpError: a profile is named, and there is no profile file.
    """
    if profile is not None:
        raise MolexpError(
            f"The profile {profile!r} cannot be resolved: profile files are not read by this version. Pass what it "
            "would set as overrides={...}."
        )
    config: dict[str, Any] = {}
    for name, value in (overrides or {}).items():
        inner = config
        *above, last = name.split(".")
        for part in above:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ValueError(f"The override {name!r} reaches into {part!r}, which another override sets.")
        inner[last] = plain(value, where=f"overrides.{name}", nan=False)
    return config
