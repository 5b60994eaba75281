"""Send scripts and styles. Large ones that others wrote are here compressed, better than one can while somebody waits."""

from __future__ import annotations

import gzip
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from molexp_web._server.conditional import accepts_gzip

PACKED = ".gz"
"""Ends the names of files that are sent as if they were not compressed."""


class Files(StaticFiles):
    """Files of a folder."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file: compressed as it is to who takes that, and unpacked to others."""
        try:
            packed, found = self.lookup_path(path + PACKED)
        except OSError:  # the name is too long, or nobody may look there
            found = None
        if found is None:
            return await super().get_response(path, scope)
        response = await super().get_response(path + PACKED, scope)
        if not accepts_gzip(scope):
            return Response(unpacked(Path(packed)), media_type=response.media_type)
        response.headers["content-encoding"] = "gzip"
        response.headers.add_vary_header("accept-encoding")
        return response


def unpacked(path: Path) -> bytes:
    """Return the bytes of a file, or, of one that is compressed, those that it was made of."""
    return gzip.decompress(path.read_bytes()) if path.suffix == PACKED else path.read_bytes()
