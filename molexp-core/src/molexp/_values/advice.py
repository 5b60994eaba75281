"""Advice about a value that JSON has no form for: code that can be pasted, and works where the value was given."""

from __future__ import annotations

from typing import Any

from molexp._values.loaded import loaded_types

_KNOWN = {"omegaconf": "use OmegaConf.to_container(value, resolve=True)", "pandas.NAType": "use None"}
"""Advice by the package of a class, or by that and its name."""


def advice(value: Any, *, in_run: bool, offer: str = "") -> str:
    """Return the advice, half a sentence.

    Args:
        value: the value.
        in_run: True if a context is there to save files with; parameters are given before.
        offer: the advice of somebody who knows more of its class.
    """
    cls = type(value)
    package = cls.__module__.partition(".")[0]
    if isinstance(value, complex) or (package == "numpy" and cls.__name__.startswith("c")):
        return "record its parts, [value.real, value.imag]"
    if not offer and isinstance(value, bytes | bytearray | memoryview):
        return (
            "save it as a file, with ctx.artifact.save(NAME, value)" if in_run else "use its text, as from value.hex()"
        )
    if hasattr(cls, "__next__") or cls is range:
        return "use list(value)"
    if issubclass(cls, loaded_types("fractions", "Fraction")):
        return "use float(value), or its text, str(value)"
    if issubclass(cls, loaded_types("argparse", "Namespace")):
        return "use vars(value)"
    if hasattr(cls, "model_dump"):
        return "use value.model_dump()"
    if said := _KNOWN.get(package) or _KNOWN.get(f"{package}.{cls.__name__}"):
        return said
    numbers = "use value.tolist(), or " if hasattr(cls, "tolist") else ""
    if offer:
        return f"{numbers}{offer}"
    if not in_run:
        return f"{numbers}write it to a file, and make the file's path the parameter"
    is_array = issubclass(cls, loaded_types("numpy", "ndarray"))
    name, how = ("NAME.npy", ": numpy.save(path, value)") if is_array else ("NAME", "")
    return f"{numbers}write it to a file, in `with ctx.artifact.writing({name!r}) as path{how}`, and record what you need to query"
