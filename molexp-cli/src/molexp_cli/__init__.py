"""The command ``molexp``. Each command calls public functions of core and shows what they return.

Python programs use `molexp` itself, not this package.
"""

from __future__ import annotations

__version__ = "0.1.0"
