"""Read the body of a request, as far as one may be long."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request

LARGEST = 1 << 20  # bytes


async def body_of(request: Request) -> bytes:
    """Return the body of a request.

    Raises:
        HTTPException: it is too large.
    """
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > LARGEST:
            raise HTTPException(413, f"A body has at most {LARGEST} bytes.")
    return bytes(data)
