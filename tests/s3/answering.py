"""Tiny servers: one that answers as it is told, one that puts TLS in front of another, and certificates for that."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import attrs

Headers = Mapping[str, str]


@attrs.frozen
class Reply:
    """An answer."""

    status: int
    body: bytes = b""
    headers: Headers = attrs.Factory(dict)


@attrs.frozen
class Heard:
    """A request."""

    method: str
    path: str
    headers: Headers  # by lower-case name


def error(status: int, code: str, message: str, **headers: str) -> Reply:
    """As S3 says what is wrong."""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Reply(status, body.encode(), {"Content-Type": "application/xml", **headers})


@attrs.define
class Answering:
    """A server, and what it heard."""

    url: str
    reply: Callable[[Heard], Reply]
    heard: list[Heard] = attrs.Factory(list)


@contextmanager
def answering(reply: Callable[[Heard], Reply] | Reply) -> Iterator[Answering]:
    """A server that answers by a function, or always the same."""
    told = Answering("", (lambda heard: reply) if isinstance(reply, Reply) else reply)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            heard = Heard(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            told.heard.append(heard)
            found = told.reply(heard)
            head = f"HTTP/1.1 {found.status} Said\r\nContent-Length: {len(found.body)}\r\n"
            head += "".join(f"{name}: {value}\r\n" for name, value in found.headers.items()) + "\r\n"
            self.wfile.write(head.encode() + (b"" if self.command == "HEAD" else found.body))

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer

        def log_message(self, *arguments: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def with_tls(upstream: str, certificate: Path) -> Iterator[str]:
    """The URL of a server that decrypts, and passes on what it is sent to `upstream`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    parts = urllib.parse.urlsplit(upstream)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(parts.hostname, parts.port)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    async def start() -> asyncio.Server:
        return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)

    async def stop() -> None:
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    loop.set_exception_handler(lambda *_: None)  # clients that trust nobody end their connections early
    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def make_certificates(folder: Path) -> tuple[Path, Path]:
    """The certificate of an authority that nobody knows, and what a server for 127.0.0.1 shows, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.UTC)

    def named(word: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, word)])

    def begun(word: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(word))
            .issuer_name(named("an authority of our own"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    ours, theirs = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = (
        begun("an authority of our own", ours)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(ours, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    )
    server = begun("127.0.0.1", theirs).add_extension(names, critical=False).sign(ours, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (folder / "authority.pem").write_bytes(authority.public_bytes(pem))
    (folder / "server.pem").write_bytes(
        theirs.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + server.public_bytes(pem)
    )
    return folder / "authority.pem", folder / "server.pem"
