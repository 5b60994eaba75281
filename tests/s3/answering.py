"""Tiny servers that answer as they are told, or as another one does, also by TLS; and certificates for that."""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import attrs

Headers = Mapping[str, str]

_OF_ITS_OWN = frozenset({"connection", "content-length", "transfer-encoding"})


@attrs.frozen
class Reply:
    """An answer."""

    status: int
    body: bytes = b""
    headers: Headers = attrs.Factory(dict)
    pace: float = 0.0  # seconds before each quarter of the body


@attrs.frozen
class Heard:
    """A request."""

    method: str
    path: str
    headers: Headers  # by lower-case name
    body: bytes = attrs.field(default=b"", repr=False)


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
def answering(reply: Callable[[Heard], Reply] | Reply, certificate: Path | None = None) -> Iterator[Answering]:
    """A server that answers by a function, or always the same; with a certificate, by TLS."""
    told = Answering("", (lambda heard: reply) if isinstance(reply, Reply) else reply)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            heard = Heard(self.command, self.path, headers, self.rfile.read(int(headers.get("content-length", 0))))
            told.heard.append(heard)
            found = told.reply(heard)
            told_headers = {"Content-Length": len(found.body), **found.headers}
            head = f"HTTP/1.1 {found.status} Said\r\n"
            head += "".join(f"{name}: {value}\r\n" for name, value in told_headers.items()) + "\r\n"
            content = b"" if self.command == "HEAD" else found.body
            if not found.pace:
                self.wfile.write(head.encode() + content)
                return
            self.wfile.write(head.encode())
            quarter = -(-len(content) // 4) or 1
            for start in range(0, len(content), quarter):
                time.sleep(found.pace)
                self.wfile.write(content[start : start + quarter])

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer

        def log_message(self, *arguments: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(OSError):  # who trusts nobody ends its connection early
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    told.url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def passing_on(url: str) -> Callable[[Heard], Reply]:
    """Answers as the server at `url` does."""
    parts = urllib.parse.urlsplit(url)

    def reply(heard: Heard) -> Reply:
        assert parts.hostname is not None
        with closing(http.client.HTTPConnection(parts.hostname, parts.port, timeout=300)) as connection:
            connection.request(heard.method, heard.path, heard.body, dict(heard.headers))
            answer = connection.getresponse()
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in _OF_ITS_OWN}
            if heard.method == "HEAD" and (length := answer.getheader("Content-Length")):
                headers["Content-Length"] = length
            return Reply(answer.status, answer.read(), headers)

    return reply


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
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
    server = begun("127.0.0.1", theirs).add_extension(names, critical=False).sign(ours, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (folder / "authority.pem").write_bytes(authority.public_bytes(pem))
    (folder / "server.pem").write_bytes(
        theirs.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + server.public_bytes(pem)
    )
    return folder / "authority.pem", folder / "server.pem"
