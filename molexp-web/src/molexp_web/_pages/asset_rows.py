"""Assets as rows of tables and as cards: links, thumbnails, and the fields of their kinds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from molexp_web._pages.api_links import api_link
from molexp_web._pages.previews import is_image
from molexp_web._pages.record_words import cell, flat
from molexp_web._pages.rendering import number, url_for

if TYPE_CHECKING:
    import molexp as me


def asset_link(request: Request, id: str) -> str:
    """Return the address of the page of an asset."""
    return url_for(request, "asset", workspace=request.path_params["workspace"], id=id)


def bytes_link(request: Request, id: str) -> str:
    """Return the address of the bytes of an asset, which execute nothing in a browser."""
    return api_link(request, "assets", id, "bytes")


def lineage_link(request: Request, id: str) -> str:
    """Return the address of the lineage of an asset, by its id, or of a run, by its path."""
    return url_for(request, "lineage", workspace=request.path_params["workspace"], id=id)


def file_rows(request: Request, assets: Iterable[me.Asset], most: int) -> list[dict[str, Any]]:
    """Return rows: newest attempt first, in it as they were made."""
    some = sorted(assets, key=lambda asset: -(asset.producer.attempt if asset.producer is not None else 0))
    return [row_of(request, asset) for asset in islice(some, most)]


def row_of(request: Request, asset: me.Asset) -> dict[str, Any]:
    """Return what a table says of an asset."""
    facts = asset.to_dict()
    fields = {name: cell(value) for name, value in flat(facts["fields"]) if value not in (None, "", [], {}, ())}
    return {
        **facts,
        "link": asset_link(request, asset.id),
        "image": bytes_link(request, asset.id) if is_image(asset) else "",
        "words": ", ".join(islice(_words(fields), 4)),
        "fields": fields,
    }


def _words(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield facts in words: of what is true or false only what is true, and nothing that another fact has in its name."""
    for name, value in fields.items():
        if "." not in name and value is not False:
            said = name.replace("_", " ")
            yield said if value is True else f"{said} {number(value)}"
