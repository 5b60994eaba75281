"""Every error that MolExp raises on purpose.

::

    MolexpError
    ├── StoreError                        storage said no; carries the key and the store's URL
    │   ├── KeyNotFoundError              (also NotFoundError)
    │   ├── KeyExistsError                an exclusive creation lost
    │   ├── KeyMovedError                 an append found its file renamed or replaced
    │   ├── InvalidKeyError               (also ValueError) refused before any I/O
    │   ├── StorePermissionError          the operating system or server denies access
    │   │   └── ReadOnlyError             the workspace was opened read-only
    │   ├── CredentialsError              missing, wrong or expired
    │   ├── UnavailableError              still failing after retries
    │   ├── StorageFullError              no space or quota left
    │   └── UnsupportedOperationError     a capability that this store does not declare
    ├── NotFoundError                     (also KeyError) with the nearest names
    ├── ConflictError                     a definition that exists and differs
    ├── InvalidNameError                  (also ValueError) an id or name that cannot be used
    ├── SerializationError                (also ValueError) a value JSON cannot carry; names its path and type
    ├── RecordError
    │   ├── CorruptRecordError            a document that cannot be read
    │   └── SchemaError                   written by a newer MolExp; it may be read, never written to
    ├── RunError                          the life cycle; carries the run's path
    │   ├── RunBusyError                  another attempt is alive
    │   ├── RunFinishedError              it succeeded, and ``if_succeeded="error"``
    │   ├── RunSupersededError            this attempt was ended by somebody else
    │   ├── RunCancelledError             a cancel request reached this attempt
    │   └── ContextClosedError            used after its end, or in a forked child
    ├── AssetError
    │   ├── AmbiguousAssetError           one name, several kinds
    │   ├── AssetExistsError              the name belongs to another task or kind
    │   └── NoKindError                   (also TypeError) no kind accepts this object
    ├── CommandError                      a command that ``ctx.shell`` ran failed
    └── PluginError
        ├── PluginLoadError               one or more plugins are broken
        └── PluginMissingError            nothing installed provides what was asked for

An error's facts are attributes; its message is built from them. Every error survives pickling, subclasses in plugins
too, whatever their ``__init__`` takes.
"""

from __future__ import annotations

from molexp.errors._base import MolexpError, NotFoundError
from molexp.errors._plugins import PluginError, PluginLoadError, PluginMissingError
from molexp.errors._record import (
    ConflictError,
    CorruptRecordError,
    InvalidNameError,
    RecordError,
    SchemaError,
    SerializationError,
)
from molexp.errors._runs import (
    AmbiguousAssetError,
    AssetError,
    AssetExistsError,
    CommandError,
    ContextClosedError,
    NoKindError,
    RunBusyError,
    RunCancelledError,
    RunError,
    RunFinishedError,
    RunSupersededError,
)
from molexp.errors._stores import (
    CredentialsError,
    InvalidKeyError,
    KeyExistsError,
    KeyMovedError,
    KeyNotFoundError,
    ReadOnlyError,
    StorageFullError,
    StoreError,
    StorePermissionError,
    UnavailableError,
    UnsupportedOperationError,
)

__all__ = [
    "AmbiguousAssetError",
    "AssetError",
    "AssetExistsError",
    "CommandError",
    "ConflictError",
    "ContextClosedError",
    "CorruptRecordError",
    "CredentialsError",
    "InvalidKeyError",
    "InvalidNameError",
    "KeyExistsError",
    "KeyMovedError",
    "KeyNotFoundError",
    "MolexpError",
    "NoKindError",
    "NotFoundError",
    "PluginError",
    "PluginLoadError",
    "PluginMissingError",
    "ReadOnlyError",
    "RecordError",
    "RunBusyError",
    "RunCancelledError",
    "RunError",
    "RunFinishedError",
    "RunSupersededError",
    "SchemaError",
    "SerializationError",
    "StorageFullError",
    "StoreError",
    "StorePermissionError",
    "UnavailableError",
    "UnsupportedOperationError",
]

for _name in __all__:
    globals()[_name].__module__ = __name__  # where people find them, in tracebacks and pickles too
del _name
