"""Import msgspec without typing_extensions, which takes as long as msgspec itself.

msgspec takes three names from there if it is installed, and from `typing` if it is not. Since Python 3.11 they are the same.
"""

from __future__ import annotations

import sys
from threading import get_ident

_UNNEEDED = "typing_extensions"


class _Hiding:
    """A finder that lets this thread find no typing_extensions, and all else be found by others."""

    thread = get_ident()

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> None:
        if name == _UNNEEDED and get_ident() == cls.thread:
            raise ModuleNotFoundError(f"{name} is hidden from msgspec", name=name)


if not {_UNNEEDED, "msgspec"} & sys.modules.keys():
    finders = sys.meta_path
    sys.meta_path = [_Hiding, *finders]  # not changed in place: other threads may be going through it
    try:
        import msgspec  # noqa: F401
    finally:
        left = [finder for finder in sys.meta_path if finder is not _Hiding]
        if left != finders:  # another thread has added one meanwhile
            finders[:] = left
        sys.meta_path = finders
