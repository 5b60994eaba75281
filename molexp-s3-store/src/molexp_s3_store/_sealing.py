"""Secrets in pickles: for this process and those that it starts, and for nobody who finds the pickle.

`multiprocessing` gives every process a random key, which its spawned children inherit and which it never writes down.
What is sealed with it travels to workers; where the key is another one, there are no secrets, and the copy looks for
credentials in its own surroundings.
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
    """Decrypt; empty where the key is another one."""
    found: dict[str, str] = json.loads(unseal_bytes(sealed) or b"{}")
    return found


def seal_bytes(data: bytes) -> bytes:
    """Encrypt `data`: SHAKE-256 of key and nonce as the key stream, HMAC-SHA-256 over nonce and text.

    The nonce is a MAC of the data, so that equal data gives equal bytes: Dask names what it computes by pickles.
    """
    nonce = hmac.digest(_key(b"nonce"), data, "sha256")[:_NONCE]
    text = _mix(data, nonce)
    return nonce + _tag(nonce + text) + text


def unseal_bytes(sealed: bytes) -> bytes | None:
    """Decrypt what this process, or one that it comes from or started, has sealed; None for anything else."""
    nonce, tag, text = sealed[:_NONCE], sealed[_NONCE : _NONCE + _TAG], sealed[_NONCE + _TAG :]
    return _mix(text, nonce) if hmac.compare_digest(tag, _tag(nonce + text)) else None


def digest(data: bytes) -> bytes:
    """A name for `data` that tells nobody what it is, and is the same wherever it can be unsealed."""
    return hmac.digest(_key(b"name"), data, "sha256")


def _key(use: bytes) -> bytes:
    return hmac.digest(bytes(process.current_process().authkey), b"molexp-s3-store " + use, "sha256")


def _mix(text: bytes, nonce: bytes) -> bytes:
    stream = shake_256(_key(b"stream") + nonce).digest(len(text))
    return bytes(one ^ other for one, other in zip(text, stream, strict=True))


def _tag(data: bytes) -> bytes:
    return hmac.new(_key(b"tag"), data, sha256).digest()
