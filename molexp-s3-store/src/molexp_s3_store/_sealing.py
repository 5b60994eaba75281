"""Encrypt secrets in pickles, so that only this process and its children can read them.

`multiprocessing` gives every process a random key. Spawned children inherit it, and it is never written to disk. Secrets
that are sealed with it travel to workers. A process with another key cannot read them, and looks for credentials in its
own environment.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from hashlib import sha256, shake_256
from multiprocessing import process

_TAG = 32
_NONCE = 16


def seal(values: Mapping[str, str]) -> bytes:
    """Encrypt `values`."""
    return seal_bytes(json.dumps(dict(values)).encode())


def unseal(sealed: bytes) -> dict[str, str]:
    """Decrypt values. Return an empty dict if the key is another one."""
    found: dict[str, str] = json.loads(unseal_bytes(sealed) or b"{}")
    return found


def seal_bytes(data: bytes) -> bytes:
    """Encrypt `data`: SHAKE-256 of key and nonce as the key stream, HMAC-SHA-256 over nonce and text.

    The nonce is a MAC of the data, so that equal data gives equal bytes: Dask names results by pickles.
    """
    nonce = hmac.digest(_key(b"nonce"), data, "sha256")[:_NONCE]
    text = _mix(data, nonce)
    return nonce + _tag(nonce + text) + text


def unseal_bytes(sealed: bytes) -> bytes | None:
    """Decrypt data that this process, its parent or a child has sealed. Return None for anything else."""
    nonce, tag, text = sealed[:_NONCE], sealed[_NONCE : _NONCE + _TAG], sealed[_NONCE + _TAG :]
    return _mix(text, nonce) if hmac.compare_digest(tag, _tag(nonce + text)) else None


def digest(data: bytes) -> bytes:
    """Return a name for `data` that does not reveal it, and is the same wherever `data` can be unsealed."""
    return hmac.digest(_key(b"name"), data, "sha256")


def _key(use: bytes) -> bytes:
    return hmac.digest(bytes(process.current_process().authkey), b"molexp-s3-store " + use, "sha256")


def _mix(text: bytes, nonce: bytes) -> bytes:
    stream = shake_256(_key(b"stream") + nonce).digest(len(text))
    return bytes(one ^ other for one, other in zip(text, stream, strict=True))


def _tag(data: bytes) -> bytes:
    return hmac.new(_key(b"tag"), data, sha256).digest()
