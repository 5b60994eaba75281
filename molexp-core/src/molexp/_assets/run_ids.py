"""The run-id scheme that a workspace uses unless its settings name another."""

from __future__ import annotations

from typing import ClassVar

from molexp._values.canonical import canonical_hash
from molexp.contracts import RunIdentity, RunIdScheme

__all__ = ["Molexp1"]

_DIGITS = 20  # 80 bits: a collision is expected only among some 10**12 runs of one experiment


class Molexp1(RunIdScheme):
    """The first 20 hex digits of the SHA-256 of the identity's canonical JSON.

    ``docs/explanation/run-ids.md`` specifies it, with test vectors.
    """

    name: ClassVar[str] = "molexp-1"

    def derive(self, identity: RunIdentity) -> str:
        """Return the run's id.

        Raises:
            SerializationError: a parameter or config value has no canonical form; it names the path.
        """
        document = {
            "scheme": self.name,
            "project": identity.project,
            "experiment": identity.experiment,
            "parameters": identity.parameters,
            "replica": identity.replica,
            "config": identity.config,
        }
        return canonical_hash(document, where="")[:_DIGITS]
