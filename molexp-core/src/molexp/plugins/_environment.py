"""Find the command that installs a package into the environment of this interpreter."""

from __future__ import annotations

import os
import sys


def install_command(requirement: str) -> list[str]:
    """Return the command that installs a package where this interpreter finds it.

    Tools that are installed by uv or pipx have environments of their own, to which only uv or pipx should add packages.

    Example:
        >>> from molexp.plugins import install_command
        >>> "molexp-s3-store" in install_command("molexp-s3-store")
        True
    """
    if (tool := _read("uv-receipt.toml")) and (command := _uv_tool(tool, requirement)):
        return command
    if tool := _read("pipx_metadata.json"):
        return ["pipx", "inject", _pipx_environment(tool), requirement]
    from importlib.util import find_spec

    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", requirement]
    return ["uv", "pip", "install", requirement, "--python", sys.executable]


def _read(name: str) -> str:
    try:
        with open(os.path.join(sys.prefix, name), encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def _uv_tool(receipt: str, requirement: str) -> list[str]:
    """Return the command that installs a tool of uv again, with what it has already, and one package more."""
    import tomllib

    try:
        first, *others = [_written(one) for one in tomllib.loads(receipt)["tool"]["requirements"]]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError):
        return []
    kept = [part for one in dict.fromkeys([*others, requirement]) for part in ("--with", one)]
    return ["uv", "tool", "install", first, *kept]


def _written(entry: dict[str, str]) -> str:
    """Return a requirement of a receipt as it is written on a command line."""
    if place := entry.get("editable") or entry.get("directory") or entry.get("path") or entry.get("url"):
        return place
    return (
        entry["name"] + (f"[{','.join(entry['extras'])}]" if entry.get("extras") else "") + entry.get("specifier", "")
    )


def _pipx_environment(metadata: str) -> str:
    import json

    try:
        return str(json.loads(metadata)["main_package"]["package"])
    except (ValueError, KeyError, TypeError):
        return os.path.basename(sys.prefix)
