"""The contract of a run-id scheme, which derives the name of a run from its definition."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from msgspec import Struct


class RunIdentity(Struct, frozen=True):
    """The values that make two runs the same run.

    Attributes:
        project: id of the project.
        experiment: id of the experiment.
        parameters: the merged parameters, plain JSON values.
        replica: the replica's index, from 0.
        config: the active profile's resolved configuration with overrides, less the keys that do not count
            (``executor``, ``resources``, ``scheduler``).

    Example:
        >>> from molexp.contracts import RunIdentity
        >>> RunIdentity("metals", "cu", {"a": 3.5}, replica=0, config={}).parameters
        {'a': 3.5}
    """

    project: str
    experiment: str
    parameters: dict[str, Any]
    replica: int
    config: dict[str, Any]


class RunIdScheme(ABC):
    """Derives run ids.

    A scheme never changes: a workspace names the one it uses, every run records the one it was named by, and whoever
    wants another derivation registers another name.

    Example:
        >>> from hashlib import sha256
        >>> from molexp.contracts import RunIdScheme, canonical_json
        >>> class Readable(RunIdScheme):
        ...     name = "readable-1"
        ...
        ...     def derive(self, identity):
        ...         known = [identity.project, identity.experiment, identity.parameters, identity.replica, identity.config]
        ...         return sha256(canonical_json(known).encode()).hexdigest()[:16]
    """

    name: ClassVar[str]
    """The scheme's name, with its version in it, as in ``molexp-1``."""

    @abstractmethod
    def derive(self, identity: RunIdentity) -> str:
        """Return the id: equal for equal identities on every machine, a valid id, and for ever the same."""
