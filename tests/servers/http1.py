"""As much of HTTP/1.1 as a proxy needs that looks at requests and passes them on unchanged."""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

import attrs

PIECE = 256 * 1024
LIMIT = 1024 * 1024  # of a head; and how much is read ahead


class ClosedError(ConnectionError):
    """The other side ended the connection where it may."""


@attrs.frozen
class Head:
    """The first lines of a message: as they came, and what they say."""

    raw: bytes
    first: str
    headers: Mapping[str, str]  # by lower-case name

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> Head:
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise ClosedError from error
        first, *lines = raw.decode("latin-1")[:-4].split("\r\n")
        pairs = [line.partition(":") for line in lines]
        return cls(raw, first, MappingProxyType({name.lower(): value.strip() for name, _, value in pairs}))

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.first.split(" ", 2)[1])

    @property
    def last(self) -> bool:
        """Tell whether the connection ends with this message."""
        return self.headers.get("connection", "").lower() == "close" or self.first.startswith("HTTP/1.0")

    @property
    def chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    @property
    def length(self) -> int | None:
        """The length of the body where the head tells it."""
        told = self.headers.get("content-length")
        return None if told is None else int(told)


@attrs.define
class Request:
    """One request that came to the proxy, and what became of it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]  # by lower-case name
    size: int = 0  # bytes of the body passed on or thrown away
    status: int | None = None  # that the client was told; none where the answer was lost
    served: int | None = None  # that the server answered; none where it was not asked
    fault: str = ""  # what the proxy did to it
    began: float = 0.0  # by the clock of the proxy's loop
    ended: float | None = None  # none where it has not been answered yet

    @classmethod
    def of(cls, head: Head) -> Request:
        method, target, _ = head.first.split(" ", 2)
        path, _, query = target.partition("?")
        return cls(method, urllib.parse.unquote(path), query, head.headers)

    @property
    def parameters(self) -> dict[str, str]:
        """The query, decoded."""
        return dict(urllib.parse.parse_qsl(self.query, keep_blank_values=True))

    @property
    def if_none_match(self) -> str | None:
        return self.headers.get("if-none-match")

    @property
    def if_match(self) -> str | None:
        return self.headers.get("if-match")


@attrs.frozen
class Piece:
    """Some of a body as it came, and how many bytes of it are content."""

    raw: bytes
    content: int


async def body(head: Head, reader: asyncio.StreamReader, *, until_end: bool = False) -> AsyncIterator[Piece]:
    """The pieces of the body after `head`. An answer that tells no length lasts until the end: `until_end`."""
    if head.chunked:
        async for piece in _chunks(reader):
            yield piece
    elif head.length is not None or not until_end:
        async for piece in _exactly(head.length or 0, reader):
            yield piece
    else:
        while data := await reader.read(PIECE):
            yield Piece(data, len(data))


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[Piece]:
    size = -1
    while size:
        line = await reader.readuntil(b"\r\n")
        yield Piece(line, 0)
        size = int(line.split(b";")[0], 16)
        if size:
            async for piece in _exactly(size, reader):
                yield piece
            yield Piece(await reader.readexactly(2), 0)
    line = b""
    while line != b"\r\n":  # trailers
        line = await reader.readuntil(b"\r\n")
        yield Piece(line, 0)


async def _exactly(count: int, reader: asyncio.StreamReader) -> AsyncIterator[Piece]:
    while count:
        data = await reader.read(min(count, PIECE))
        if not data:
            raise asyncio.IncompleteReadError(b"", count)
        count -= len(data)
        yield Piece(data, len(data))
