"""Describe the API by OpenAPI 3.1, from the operations that it has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from molexp_web._api.declaring import BASE, Operation, Parameter

_PART = re.compile(r"\{(\w+)(?::\w+)?\}")

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "hint"],
            "properties": {name: {"type": "string"} for name in ("code", "message", "hint")},
        }
    },
}


def describe(operations: Iterable[Operation], server: str) -> dict[str, Any]:
    """Return the document of some operations, below the address of a server."""
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(_PART.sub(r"{\1}", one.path), {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "MolExp",
            "version": "1",
            "description": "Workspaces of MolExp: the documents that commands print with --json.",
        },
        "servers": [{"url": f"{server}{BASE}"}],
        "security": [{"bearer": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "molexp"},
            },
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "format": "binary"} if "json" not in one.media_type else {}
    responses = {
        "200": {"description": one.returns or one.summary, "content": {one.media_type: {"schema": schema}}},
        "default": {
            "description": "An error.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        },
    }
    if one.method == "GET":
        responses["304"] = {"description": "The client has it: If-None-Match names its ETag."}
    found: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "parameters": [_part(name) for name in _PART.findall(one.path)] + [_parameter(each) for each in one.parameters],
        "responses": responses,
    }
    if one.body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": dict(one.body)}}}
    return found


def _part(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _parameter(one: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": one.type}
    if one.least is not None:
        schema["minimum"] = one.least
    if one.most is not None:
        schema["maximum"] = one.most
    if one.default is not None:
        schema["default"] = one.default
    if one.many:
        schema = {"type": "array", "items": schema}
    return {"name": one.name, "in": "query", "description": one.says, "required": one.needed, "schema": schema}
