"""Configuration of a run: profiles from a file, and overrides by dotted name. ``docs/explanation/profiles.md`` tells it.

What the command line needs is here: `find_profiles` and `use_profiles` say which file counts, `parse_override` reads
``--override a.b=1``, and `Profiles` resolves.
"""

from __future__ import annotations

from molexp._record.profiles.overriding import parse_override
from molexp._record.profiles.profiles import Profiles
from molexp._record.profiles.resolving import FILES, find_profiles, resolve_profile, use_profiles

__all__ = ["FILES", "Profiles", "find_profiles", "parse_override", "resolve_profile", "use_profiles"]
