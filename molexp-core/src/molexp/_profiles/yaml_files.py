"""YAML as profile files have it: PyYAML finds the structure, values are made here, and no tag makes an object.

Importing this imports PyYAML, so it is imported where there is YAML to read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from molexp._profiles.scalars import scalar
from molexp._values.value_path import MAX_DEPTH
from molexp.errors import ProfileError

_MAX_REPEATED = 100_000  # characters and members that aliases may repeat


class _Loader(yaml.BaseLoader):
    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        return ""  # so that a tag is one that somebody wrote


def read_yaml(text: str, file: str) -> tuple[Any, dict[tuple[str, ...], int]]:
    """Return the values of the text, and the lines of its keys.

    Args:
        text: one document; an empty one holds None.
        file: the name of the file in errors; "" if it is no file.

    Raises:
        ProfileError: it is not YAML, has a key twice, a tag, a number that is not finite, or aliases that repeat
            too much or what they are in.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ProfileError(file, f"the character {chr(int(error.character))!r} is not YAML", line=line) from None
    except yaml.MarkedYAMLError as error:
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        mark = error.problem_mark or error.context_mark
        raise ProfileError(
            file,
            f"it is not valid YAML ({reason})",
            line=mark.line + 1 if mark else 0,
            hint="Text with special characters goes in quotes; indent with blanks, not tabs.",
        ) from None
    except RecursionError:
        raise ProfileError(file, f"it is nested more than {MAX_DEPTH} levels deep", hint="Flatten it.") from None
    reader = _Reader(file)
    return reader.value(node, ()) if node is not None else None, reader.lines


class _Reader:
    """Makes values of nodes. An alias is the node that it stands for, so a node may be met again, even in itself."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[tuple[str, ...], int] = {}
        self._met: set[int] = set()
        self._repeated = 0

    def value(self, node: yaml.Node, path: tuple[str, ...]) -> Any:
        self._check(node, path)
        if isinstance(node, yaml.MappingNode):
            return {key: self.value(item, (*path, key)) for key, item in self._members(node, path)}
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, str(index))) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        if node.style is not None:
            return _joined(node.value)
        try:
            return scalar(node.value)
        except ValueError as error:
            raise self._error(
                node, f"{'.'.join(path) or 'it'}: {error}", "Use null, a finite number, or quotes."
            ) from None

    def _check(self, node: yaml.Node, path: tuple[str, ...]) -> None:
        if node.tag:
            raise self._error(node, f"the tag {node.tag!r} is not read", "Leave it out; text goes in quotes.")
        if len(path) > MAX_DEPTH:
            reason = f"it is nested more than {MAX_DEPTH} levels deep, or contains itself"
            raise self._error(node, reason, "Flatten it.")
        if id(node) in self._met:
            self._repeated += 1 + len(node.value)
            if self._repeated > _MAX_REPEATED:
                reason = f"its aliases repeat more than {_MAX_REPEATED} characters and members"
                raise self._error(node, reason, "Let profiles extend each other instead.")
        self._met.add(id(node))

    def _members(self, node: yaml.MappingNode, path: tuple[str, ...]) -> Iterator[tuple[str, yaml.Node]]:
        """Yield the keys of a mapping with their nodes; a key is text, as it is written."""
        first: dict[str, int] = {}
        for name, item in node.value:
            line = name.start_mark.line + 1
            if not isinstance(name, yaml.ScalarNode) or name.tag:
                raise self._error(name, "a key is not plain text", "Keys are text, without tags.")
            if name.value == "<<" and name.style is None:
                raise self._error(
                    name, "'<<' is not part of YAML 1.2", "Let profiles extend each other; mappings are merged deeply."
                )
            key = _joined(name.value)
            if key in first:
                raise self._error(name, f"the key {key!r} is there twice, first in line {first[key]}", "Remove one.")
            first[key] = line
            self.lines[*path, key] = line
            yield key, item

    def _error(self, node: yaml.Node, reason: str, hint: str) -> ProfileError:
        return ProfileError(self.file, reason, line=node.start_mark.line + 1, hint=hint)


def _joined(text: str) -> str:
    r"""Join characters of a text that may be written in halves, as JSON escapes them (``"\ud83d\ude00"``)."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
