"""Tell browsers what they may do with an answer."""

from __future__ import annotations

PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'self'"
)
"""Pages load and execute what comes from here, and nothing that stands in them."""

ASSET_POLICY = (
    "sandbox; default-src 'none'; img-src data:; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'"
)
"""Bytes of the record execute nothing, ask nobody, and are of no origin, whatever they are."""

HEADERS = {
    "content-security-policy": PAGE_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",  # with none at all, browsers do not say where a form comes from
    "x-content-type-options": "nosniff",
}
"""The headers of every answer that has none of its own."""

PDF_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
"""The same for PDF, which browsers show in no sandbox: their viewers execute nothing of it in a page of ours."""
