"""Put a document into the page: one file with its styles and scripts, which a browser may load and execute nothing beside."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Any

from molexp_cli._report.budget import encoded

MARK = '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta name="generator" content="MolExp report">\n'
"""The beginning of every report, by which one may replace another."""

_SCRIPTS = ("values.js", "table.js", "charts.js", "page.js")


def page_of(document: Mapping[str, Any]) -> str:
    """Return the page of a document, which is the same whenever the document is."""
    style = _text("page.css")
    script = '"use strict";\n' + "\n".join(map(_text, _SCRIPTS))
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    statuses = ", ".join(f"{number} {status}" for status, number in document["statuses"].items())
    parts = {
        "policy": policy,
        "title": escape(f"{document['workspace']['name']}: report"),
        "summary": escape(f"{document['count']} of {document['total']} runs ({statuses or 'none'})"),
        "style": style,
        "script": script,
        "data": encoded(document),
    }
    text = _text("page.html")
    pieces = text.split("{{")
    out = [pieces[0]]
    for piece in pieces[1:]:  # one pass, so that nothing in the data is taken for a place in the template
        name, _, rest = piece.partition("}}")
        out += [parts[name], rest]
    return MARK + "".join(out)


def _text(name: str) -> str:
    return files(__package__ or "").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
