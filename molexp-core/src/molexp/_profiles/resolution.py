"""Find the profile file that counts, and resolve the configuration of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from molexp._profiles.overrides import override
from molexp._profiles.profiles import Profiles
from molexp._values.ids import named
from molexp._values.plain import plain
from molexp.errors import ProfileError

if TYPE_CHECKING:
    from molexp.contracts import Resources

FILES = ("molcfg.yaml", "molcfg.yml", "molcfg.toml", "molcfg.json")
"""The names of profile files that are looked for."""

_used: ContextVar[Profiles | Literal["unsaid"] | None] = ContextVar("molexp_profiles", default="unsaid")
"""Not chosen: each run looks for a file itself."""


def find_profiles(
    script: str | os.PathLike[str] | None = None,
    config: str | os.PathLike[str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> Profiles | None:
    """Read the profile file that counts; None if there is none.

    Args:
        script: the script that is run; a file beside it comes before one in the current directory.
        config: the path of the file itself.
        cwd: a folder in the place of the current directory.

    Raises:
        ProfileError: several files in one folder could be meant, `config` is not there, or the file is wrong.
    """
    if config is not None:
        return Profiles.read(config)
    folders = [Path(script).parent] if script is not None else []
    for folder in (*folders, Path(cwd or ".")):
        found = [folder / name for name in FILES if os.path.isfile(folder / name)]
        if len(found) > 1:
            others = " and ".join(path.name for path in found[1:])
            reason = f"there is {others} beside it, and only one profile file can count"
            raise ProfileError(str(found[0]), reason, hint="Remove all but one, or say which with --config.")
        if found:
            return Profiles.read(found[0])
    return None


@contextmanager
def use_profiles(profiles: Profiles | None) -> Iterator[None]:
    """Use these profiles within the block: no run looks for a file, and a run without a profile has the defaults.

    Args:
        profiles: the profiles of a file; None if there is no profile file.
    """
    token = _used.set(profiles)
    try:
        yield
    finally:
        _used.reset(token)


def profiles_here() -> Profiles | None:
    """Return the profiles in use, or those of the file beside the script that Python runs, or in the current directory.

    Raises:
        ProfileError: several files in one folder could be meant, or the file is wrong.
    """
    profiles = _used.get()
    if profiles == "unsaid":
        return find_profiles(getattr(sys.modules.get("__main__"), "__file__", None))
    return profiles


def resolve_profile(profile: str | None, overrides: Mapping[str, Any] | None, *, look: bool = False) -> dict[str, Any]:
    """Return the configuration that a profile with overrides amounts to, as it is recorded.

    Outside of `use_profiles`, a file is looked for when there is a profile or an override: beside the script that
    Python runs, then in the current directory. Without a file, overrides may have any name.

    Args:
        profile: its name.
        overrides: values over it.
        look: look for a file in any case, as for runs whose ids are derived: `molexp run` does.

    Raises:
        ProfileError: there is no such profile or no profile file, the file is wrong, or an override names what is
            not there.
        SerializationError: JSON cannot carry an override's value.
        TypeError: the profile is no text, or the overrides are no mapping of texts.
    """
    if _used.get() == "unsaid" and profile is None and not overrides and not look:
        return {}
    profile = profile if profile is None else named(profile, "A profile", by="name")
    if overrides and not (isinstance(overrides, Mapping) and all(isinstance(name, str) for name in overrides)):
        raise TypeError(f"Overrides are a mapping of dotted names to values, not {overrides!r:.80}.")
    profiles = profiles_here()
    if profiles is not None:
        config = profiles.resolve(profile, overrides)
    elif profile is None:
        config = {}
        for name, value in (overrides or {}).items():
            override(config, name, value, file=None)
    else:
        reason = f"the profile {profile!r} cannot be resolved, because there is no profile file"
        hint = f"Write {FILES[0]} beside the script or into the current directory, or pass overrides={{...}} alone."
        raise ProfileError("", reason, hint=hint)
    found: dict[str, Any] = plain(config, where="config", nan=False)
    return found


def resources_of(config: Mapping[str, Any]) -> Resources:
    """Return the resources that a configuration asks for.

    Raises:
        ProfileError: they make no sense.
    """
    from molexp.contracts import Resources

    given = _mapping(config, "resources", "{cores: 4, memory: 8GB}")
    try:
        return Resources.of(given)
    except ValueError as error:
        raise ProfileError("", f"the profile's {str(error).rstrip('.')}") from error


def scheduler_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments that a configuration has for its executor.

    Raises:
        ProfileError: it is no mapping.
    """
    return _mapping(config, "scheduler", "{partition: gpu}")


def _mapping(config: Mapping[str, Any], name: str, example: str) -> Mapping[str, Any]:
    found = config.get(name)
    if found is not None and not isinstance(found, Mapping):
        raise ProfileError("", f"the profile's {name} is {found!r}; it must be a mapping, such as {example}")
    return found or {}
