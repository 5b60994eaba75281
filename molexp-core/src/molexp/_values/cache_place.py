"""The place of this user's cache folder."""

from __future__ import annotations

import os


def cache_folder() -> str:
    """Return where derived things lie: ``MOLEXP_CACHE_DIR``, else the user's cache folder; "" where the user has none."""
    if found := os.environ.get("MOLEXP_CACHE_DIR"):
        return found
    from platformdirs import user_cache_dir

    try:
        found = user_cache_dir("molexp", appauthor=False)
    except (OSError, RuntimeError):  # neither HOME nor an entry in the password database, as in some containers
        return ""
    return found if os.path.isabs(found) else ""
