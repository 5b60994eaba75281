"""moto's S3 in a process of its own, one request at a time: its conditional writes are atomic only so.

`python -m tests.servers.moto_server` says "ready PORT" and serves until its standard input ends.
"""

from __future__ import annotations

import importlib.util
import io
import sys
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

KEYS = ("labkey", "labsecret")  # any would do: moto asks nobody who they are
NO_BODY = (204, 304)

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def missing() -> str:
    """Say why the server cannot run here, or nothing."""
    absent = [name for name in ("moto", "flask", "boto3") if importlib.util.find_spec(name) is None]
    return f"{', '.join(absent)} not installed: run `uv sync`" if absent else ""


def command(folder: Path) -> list[str]:
    """Return the command that starts the server."""
    return [sys.executable, "-m", "tests.servers.moto_server"]


class Serial:
    """A WSGI application that runs one request at a time; it is given requests whose bodies have come in full."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.lock = threading.Lock()

    def answer(self, environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
        begun: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[..., None]:
            begun[:] = [int(status.split(maxsplit=1)[0]), headers]
            return lambda data: None

        with self.lock:
            parts = self.application(environ, start_response)
            try:
                body = b"".join(parts)
            finally:
                getattr(parts, "close", lambda: None)()
        return begun[0], begun[1], body


def handler(serial: Serial) -> type[Any]:
    """A handler that keeps connections; werkzeug's own closes each, after it has waited 10 ms for more input."""
    from moto.moto_server.werkzeug_app import MotoRequestHandler

    class Handler(MotoRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def run_wsgi(self) -> None:
            environ = self.make_environ()
            body = self.body()
            environ.pop("HTTP_TRANSFER_ENCODING", None)
            environ.update({"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})
            status, headers, content = serial.answer(environ)
            empty = self.command == "HEAD" or status in NO_BODY
            told = [f"{name}: {value}" for name, value in headers if empty or name.lower() != "content-length"]
            if not empty:
                told.append(f"Content-Length: {len(content)}")
            first = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
            head = "\r\n".join([first, f"Date: {self.date_time_string()}", *told, "\r\n"]).encode("latin-1")
            self.wfile.write(head if empty else head + content)  # in one packet where it fits

        def body(self) -> bytes:
            """The request's body; a client that went away before its end changes nothing."""
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                return self.chunks()
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:
                raise ConnectionResetError("the request ended early")
            return body

        def chunks(self) -> bytes:
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0] or b"-1", 16):
                chunk = self.rfile.read(size + 2) if size > 0 else b""
                if len(chunk) < size + 2:
                    raise ConnectionResetError("the request ended early")
                chunks.append(chunk[:-2])
            while self.rfile.readline().strip():
                pass
            return b"".join(chunks)

    return Handler


def main() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    serial = Serial(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, serial.application, threaded=True, request_handler=handler(serial))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", server.port, flush=True)
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
