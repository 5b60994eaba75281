"""A session of `aiobotocore` that holds a workspace's credentials and does not show them.

`s3fs` accepts a session in place of keys. So the options of a path, its pickle, and the keys of fsspec's cache of file
systems contain a session and no secrets.
"""

from __future__ import annotations

import hmac
from typing import Any

from aiobotocore.session import AioSession

from molexp_s3_store._credentials import Keys, take_profile
from molexp_s3_store._quieting import quiet_botocore
from molexp_s3_store._sealing import digest, seal, unseal


class Session(AioSession):  # type: ignore[misc]  # it has no types
    """A session with keys, with a profile, or with the credentials that AWS tools find.

    It is equal to another one with the same keys. In a process that this one started, a copy of it has them, too;
    elsewhere a copy looks for credentials there.
    """

    def __init__(self, keys: Keys | None, profile: str | None) -> None:
        quiet_botocore()
        super().__init__(profile=profile)
        take_profile(self, profile)
        self._keys = keys
        if keys is not None:
            self.set_credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)

    def _identity(self) -> str:
        keys = self._keys
        parts = (self.profile, *((keys.access_key_id, keys.secret_access_key, keys.session_token) if keys else ()))
        return digest(repr(parts).encode()).hex()[:16]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._identity()}>"

    def __eq__(self, other: object) -> bool:
        return (
            hmac.compare_digest(self._identity(), other._identity()) if isinstance(other, Session) else NotImplemented
        )

    def __hash__(self) -> int:
        return hash(self._identity())

    def __reduce__(self) -> tuple[Any, ...]:
        keys = self._keys
        hidden = {name: value for name, value in keys.to_client().items() if isinstance(value, str)} if keys else {}
        return _again, (seal(hidden) if hidden else b"", self.profile)


def _again(sealed: bytes, profile: str | None) -> Session:
    found = unseal(sealed) if sealed else {}
    keys = Keys(found["access_key_id"], found["secret_access_key"], found.get("token")) if found else None
    return Session(keys, profile)
