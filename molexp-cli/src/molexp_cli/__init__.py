"""The command ``molexp``. It holds no logic: each command calls public functions of core and shows what they return.

Nothing here is an interface for Python programs; those use `molexp` itself.
"""

from __future__ import annotations

__version__ = "0.1.0"
