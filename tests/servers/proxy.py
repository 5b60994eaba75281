"""A proxy that counts the requests to an S3 server, delays them, and loses them or their answers."""

from __future__ import annotations

import asyncio
import enum
import random
import socket
import struct
import threading
import urllib.parse
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

import attrs

from tests.servers.http1 import LIMIT, Head, Request, body


class Fault(enum.Enum):
    """Name what may happen to a request."""

    RESET_BEFORE = "reset before the server heard of it"
    RESET_IN_BODY = "reset amid the body of the request: the server must not have applied it"
    RESET_AFTER = "applied by the server, then reset: the answer is lost"
    SLOW_DOWN = "503 SlowDown; the server did not hear of it"
    SLOW_DOWN_AFTER = "503 SlowDown, though the server applied it"
    INTERNAL_ERROR = "500 InternalError; the server did not hear of it"
    TRUNCATED = "the answer ends early: amid its body, or amid its first line where it has none"
    HANG = "no answer ever; the server did not hear of it"
    HANG_AFTER = "no answer ever, though the server applied it"


RANDOM = tuple(fault for fault in Fault if fault not in {Fault.HANG, Fault.HANG_AFTER})
BURST = 4  # at most so many requests in a row are told to slow down
ERRORS = {
    Fault.SLOW_DOWN: (503, "SlowDown", "Please reduce your request rate."),
    Fault.SLOW_DOWN_AFTER: (503, "SlowDown", "Please reduce your request rate."),
    Fault.INTERNAL_ERROR: (500, "InternalError", "We encountered an internal error. Please try again."),
}
# How long a client that was answered early may go on sending, before the connection ends.
GRACE = 2.0


@attrs.define
class Rule:
    """The next `times` requests that match suffer the fault."""

    match: Callable[[Request], bool]
    fault: Fault
    times: int


class Proxy:
    """A proxy in front of `upstream`, an URL; it runs in a thread. All of its methods may be called at any time."""

    def __init__(self, upstream: str) -> None:
        parts = urllib.parse.urlsplit(upstream)
        assert parts.hostname is not None
        assert parts.port is not None
        self.upstream = (parts.hostname, parts.port)
        self.delay = 0.0  # seconds that every request waits
        self._hang = False
        self._requests: list[Request] = []
        self._rules: list[Rule] = []
        self._random: tuple[float, random.Random, tuple[Fault, ...]] | None = None
        self._burst = 0
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: weakref.WeakSet[asyncio.StreamWriter] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._listener: asyncio.Server | None = None
        self._socket = _bound(0)
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # ------------------------------------------------------------------------------------------------------- counting

    @property
    def requests(self) -> list[Request]:
        """All requests since the last `clear`, oldest first."""
        return list(self._requests)

    def clear(self) -> None:
        self._requests = []

    @property
    def intervals(self) -> list[tuple[float, float]]:
        """Return when each request that has come to its end began and ended, in seconds."""
        return [(request.began, request.ended) for request in self.requests if request.ended is not None]

    def count(self, method: str | None = None) -> int:
        return sum(method in (None, request.method) for request in self.requests)

    def counts(self) -> Counter[str]:
        """Count the requests by method."""
        return Counter(request.method for request in self.requests)

    # --------------------------------------------------------------------------------------------------------- faults

    def once(self, match: Callable[[Request], bool], fault: Fault, *, times: int = 1) -> None:
        """The next request that matches (or the next few) suffers `fault`."""
        with self._lock:
            self._rules.append(Rule(match, fault, times))

    def fail(self, rate: float, seed: int, faults: tuple[Fault, ...] = RANDOM) -> None:
        """So many of all requests suffer one of `faults`, by chance; a 503 comes in bursts."""
        with self._lock:
            self._random, self._burst = (rate, random.Random(seed), faults), 0

    def calm(self) -> None:
        """No more faults, no delay; what hangs is reset."""
        with self._lock:
            self._rules, self._random, self._burst = [], None, 0
        self.delay = 0.0
        self.hang = False
        self.up()

    def down(self) -> None:
        """The network is lost: connections are reset, new ones refused."""
        self._call(self._down())

    def up(self) -> None:
        """The network is back."""
        self._call(self._up())

    @contextmanager
    def settling(self) -> Iterator[None]:
        """Around the life of clients: afterwards none of their requests is under way any more, also of those that died."""
        before = set(self._connections)
        yield
        self._call(self._gone(before))

    @property
    def hang(self) -> bool:
        """Answer no request inside the block, and pass none on. Requests that hang are reset when it ends."""
        return self._hang

    @hang.setter
    def hang(self, value: bool) -> None:
        self._hang = value
        if not value:
            self._call(self._release())

    def _draw(self, request: Request) -> Fault | None:
        """Say what happens to a request."""
        with self._lock:
            for rule in self._rules:
                if rule.times and rule.match(request):
                    rule.times -= 1
                    return rule.fault
            if self._hang:
                return Fault.HANG
            if self._burst:
                self._burst -= 1
                return Fault.SLOW_DOWN
            if self._random is None:
                return None
            rate, chance, faults = self._random
            if chance.random() >= rate:
                return None
            fault = chance.choice(faults)
            if fault is Fault.SLOW_DOWN:
                self._burst = chance.randrange(BURST)
            return fault

    # ---------------------------------------------------------------------------------------------------- its own life

    def close(self) -> None:
        if not self._loop.is_closed():
            self._call(self._down())
            self._call(self._ended())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(300)
            self._loop.close()
            self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(300)

    async def _up(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, sock=self._socket, limit=LIMIT, backlog=256)

    async def _down(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self._socket = _bound(self.port)  # bound, but not listening: refuses, and nobody else gets the port
        for connection in list(self._connections):
            connection.reset()

    async def _gone(self, others: set[_Connection]) -> None:
        for _ in range(10):  # whoever knocked is let in
            await asyncio.sleep(0)
        await asyncio.gather(*(connection.over.wait() for connection in self._connections - others))

    async def _release(self) -> None:
        for connection in list(self._connections):
            if connection.hanging:
                connection.reset()

    async def _ended(self) -> None:
        for _ in range(10):  # whoever knocked is let in, and transports close in the next turn
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for writer in list(self._writers):
                writer.transport.abort()
            await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(_Connection(self, reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: _Connection) -> None:
        self._connections.add(connection)
        try:
            while await connection.exchange():
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            connection.reset()
        finally:
            self._connections.discard(connection)
            connection.close()
            connection.over.set()


class _Connection:
    """A client's connection, with one of its own to the server."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.reader, self.writer = reader, writer
        proxy._writers.add(writer)
        self.server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.hanging = False
        self.over = asyncio.Event()

    async def exchange(self) -> bool:
        """One request and its answer; returns whether another may follow."""
        head = await Head.read(self.reader)
        request = Request.of(head)
        request.began = self.proxy._loop.time()
        self.proxy._requests.append(request)
        try:
            return await self.treat(head, request)
        finally:
            request.ended = self.proxy._loop.time()

    async def treat(self, head: Head, request: Request) -> bool:
        """Draw what happens to a request, and let it."""
        fault = self.proxy._draw(request)
        request.fault = fault.name if fault else ""
        if self.proxy.delay:
            await asyncio.sleep(self.proxy.delay)
        match fault:
            case None | Fault.TRUNCATED:
                return await self.forward(head, request, truncated=fault is not None)
            case Fault.RESET_BEFORE:
                raise ConnectionResetError
            case Fault.RESET_IN_BODY:
                return await self.cut(head, request)
            case Fault.SLOW_DOWN | Fault.INTERNAL_ERROR:
                await self.swallow(head, request)
            case Fault.HANG:
                await self.swallow(head, request)
                await self.silence()
            case Fault.RESET_AFTER | Fault.SLOW_DOWN_AFTER | Fault.HANG_AFTER:
                again = await self.forward(head, request, silent=True)
                if fault is Fault.RESET_AFTER:
                    raise ConnectionResetError
                if fault is Fault.HANG_AFTER:
                    await self.silence()
                return await self.refuse(request, fault) and again
        return await self.refuse(request, fault)

    async def forward(self, head: Head, request: Request, *, truncated: bool = False, silent: bool = False) -> bool:
        """Pass a request on and its answer back; `silent`: the client gets nothing of the answer."""
        server, writer = await self.upstream()
        writer.write(head.raw)
        sending = asyncio.ensure_future(self.send(head, request, writer))
        try:
            answer = await self.answer_head(server, silent=silent)
            request.served = answer.status
            empty = request.method == "HEAD" or answer.status in (204, 304)
            if not silent:
                if truncated:
                    return await self.truncate(answer, server, empty=empty)
                request.status = answer.status
                self.writer.write(answer.raw)
            if not empty:
                async for piece in body(answer, server, until_end=True):
                    if not silent:
                        self.writer.write(piece.raw)
                        await self.writer.drain()
            await self.writer.drain()
            if not sending.done():  # answered early
                await asyncio.wait({sending}, timeout=GRACE)
            return sending.done() and sending.exception() is None and not (head.last or answer.last)
        finally:
            sending.cancel()
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await sending

    async def send(self, head: Head, request: Request, writer: asyncio.StreamWriter) -> None:
        try:
            async for piece in body(head, self.reader):
                request.size += piece.content
                writer.write(piece.raw)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.transport.abort()  # the client went away amid its request, so no answer will come
            raise

    async def answer_head(self, server: asyncio.StreamReader, *, silent: bool) -> Head:
        """The head of the final answer. One that says to continue is passed on in any case."""
        while True:
            answer = await Head.read(server)
            if answer.status >= 200:
                return answer
            self.writer.write(answer.raw)

    async def truncate(self, answer: Head, server: asyncio.StreamReader, *, empty: bool) -> bool:
        left = 0 if empty else (answer.length or 0) // 2
        if not left:
            self.writer.write(answer.raw[: len(answer.first) // 2])
        else:
            self.writer.write(answer.raw)
            async for piece in body(answer, server):
                self.writer.write(piece.raw[:left])
                left -= min(left, len(piece.raw))
                await self.writer.drain()
                if not left:
                    break
        return False

    async def cut(self, head: Head, request: Request) -> bool:
        """Pass on the head and half of the body, then reset both sides."""
        if head.length or head.chunked:
            self.proceed(head)
            _, writer = await self.upstream()
            writer.write(head.raw)
            budget = (head.length or 2) // 2
            async for piece in body(head, self.reader):
                part = piece.raw[:budget] if piece.content else piece.raw
                writer.write(part)
                await writer.drain()
                if piece.content:
                    request.size += len(part)
                    budget -= len(part)
                if not budget:
                    break
        raise ConnectionResetError

    async def swallow(self, head: Head, request: Request) -> None:
        """Read the body, and throw it away."""
        self.proceed(head)
        async for piece in body(head, self.reader):
            request.size += piece.content

    def proceed(self, head: Head) -> None:
        """A client may wait for the word before it sends its body."""
        if head.headers.get("expect", "").lower() == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def refuse(self, request: Request, fault: Fault) -> bool:
        request.status, code, message = ERRORS[fault]
        content = (
            f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        )
        content = "" if request.method == "HEAD" else content
        head = f"HTTP/1.1 {request.status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {len(content)}"
        self.writer.write(f"{head}\r\n\r\n{content}".encode())
        await self.writer.drain()
        return True

    async def silence(self) -> None:
        """Until the client gives up."""
        self.hanging = True
        await self.reader.read(1)
        raise ConnectionResetError

    async def upstream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection to the server, a new one if there is none yet or the server has ended it."""
        if self.server is None or self.server[0].at_eof() or self.server[1].is_closing():
            if self.server is not None:
                self.server[1].close()
            self.server = await asyncio.open_connection(*self.proxy.upstream, limit=LIMIT)
            self.proxy._writers.add(self.server[1])
        return self.server

    def reset(self) -> None:
        """End both sides at once, with a reset rather than an end."""
        for writer in (self.writer, self.server[1] if self.server else None):
            if writer is not None and not writer.transport.is_closing():
                raw: socket.socket = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()

    def close(self) -> None:
        self.writer.close()
        if self.server is not None:
            self.server[1].close()


def _bound(port: int) -> socket.socket:
    # Told that it is TCP, or asyncio does not set TCP_NODELAY for those it accepts, and an answer takes 44 ms.
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made
