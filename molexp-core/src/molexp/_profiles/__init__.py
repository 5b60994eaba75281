"""The configuration of a run: profiles from a file, and overrides by dotted name.

The command line uses `find_profiles` and `use_profiles` to choose a file, and `parse_override` to read
``--override a.b=1``; `Profiles` resolves. ``docs/explanation/profiles.md`` explains the rules.
May import: ``_storage`` and lower.
"""

from __future__ import annotations

from molexp._profiles.explaining import ExplainedValue
from molexp._profiles.files import read_values
from molexp._profiles.overrides import parse_override
from molexp._profiles.profiles import Profiles
from molexp._profiles.resolution import (
    FILES,
    find_profiles,
    profiles_here,
    resolve_profile,
    resources_of,
    scheduler_of,
    use_profiles,
)

__all__ = [
    "FILES",
    "ExplainedValue",
    "Profiles",
    "find_profiles",
    "parse_override",
    "profiles_here",
    "read_values",
    "resolve_profile",
    "resources_of",
    "scheduler_of",
    "use_profiles",
]
