"""Find the command that installs a package into the environment of this interpreter."""

from __future__ import annotations

import os
import sys
from typing import Any


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
    if _read("pipx_metadata.json"):
        return ["pipx", "inject", os.path.basename(sys.prefix), requirement]
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
    """Return the command that installs a tool of uv again, as it was installed, and one package more; [] if it is not known."""
    import tomllib

    try:
        tool = tomllib.loads(receipt)["tool"]
        first, *others = tool["requirements"]
        command = ["uv", "tool", "install", *(["--editable"] if "editable" in first else []), _written(first)]
        for one in others:
            command += ["--with-editable" if "editable" in one else "--with", _written(one)]
        if requirement not in command:
            command += ["--with", requirement]
        if python := tool.get("python"):
            command += ["--python", python]
        return [*command, *_options(tool.get("options", {}))]
    except (tomllib.TOMLDecodeError, AttributeError, KeyError, TypeError, ValueError):
        return []


def _written(entry: dict[str, Any]) -> str:
    """Return a requirement of a receipt as it is written on a command line."""
    extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
    if place := entry.get("editable"):
        return f"{place}{extras}"
    name = f"{entry['name']}{extras}"
    where = entry.get("directory") or entry.get("path") or entry.get("url")
    if git := entry.get("git"):
        where = _git(git)
    written = f"{name} @ {where}" if where else f"{name}{entry.get('specifier', '')}"
    return f"{written} ; {entry['marker']}" if entry.get("marker") else written


def _git(place: str) -> str:
    """Return the URL of a repository as requirements have it; receipts have its revision and subfolder as a query."""
    from urllib.parse import parse_qs

    url, _, query = place.partition("?")
    known = {key: values[0] for key, values in parse_qs(query.partition("#")[0]).items()}
    revision = known.get("rev") or known.get("tag") or known.get("branch")
    return f"git+{url}{f'@{revision}' if revision else ''}" + (
        f"#subdirectory={known['subdirectory']}" if "subdirectory" in known else ""
    )


def _options(options: dict[str, Any]) -> list[str]:
    """Return the options of a receipt, such as the folders and servers that packages are found in, as they are written."""
    found: list[str] = []
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            if name == "index" and isinstance(one, dict):
                found += ["--default-index" if one.get("default") else "--index", one["url"]]
            elif one is True:
                found.append(f"--{name}")
            elif isinstance(one, str):
                found += [f"--{name}", one]
    return found
