"""Every error that MolExp raises on purpose.

::

    MolexpError
    ├── StoreError                        storage said no; carries the key and the store's URL
    │   ├── KeyNotFoundError              (also NotFoundError)
    │   ├── KeyExistsError                an exclusive creation lost
    │   ├── KeyMovedError                 an append found its file renamed or replaced
    │   ├── WorkspaceMovedError           its folder was moved, removed or unmounted while it was in use
    │   ├── InvalidKeyError               (also ValueError) refused before any I/O
    │   ├── SpecialFileError              a link, a pipe or a device lies where a file or a folder should
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
    ├── ProfileError                      (also ValueError) a profile file, a profile or an override that is wrong
    ├── StorageSettingsError              (also ValueError) a ``storage.toml`` that is wrong
    ├── QueryError                        (also ValueError) a query that cannot be understood; says where, and why
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
    │   ├── HashMismatchError             the bytes are not those that were recorded
    │   └── NoKindError                   (also TypeError) no kind accepts this object
    ├── CommandError                      a command that ``ctx.shell`` ran failed
    ├── ExecutorError                     an executor could not run a call, or not to its end
    │   ├── NotPicklableError             (also TypeError) something cannot go to another process
    │   ├── RemoteError                   stands for another process's exception that cannot be pickled
    │   └── WorkerDiedError               the process that ran a call ended before it
    ├── QueueError                        a queue refused a batch, or something else
    │   └── QueueUnavailableError         its engine does not answer
    ├── WorkflowError                     carries the workflow's name
    │   ├── WorkflowDefinitionError       (also ValueError) tasks that cannot be joined
    │   │   ├── CycleError                they wait for each other; shows a cycle
    │   │   ├── DuplicateTaskError        two of one name
    │   │   └── UnknownTaskError          a dependency that is not there; with the nearest names
    │   └── UnboundExperimentError        (also NotFoundError) no workflow is bound to it
    ├── TaskError                         carries the task's name
    │   ├── TaskFailedError               ``check=True``, and a task failed
    │   ├── TaskNotSucceededError         (also KeyError) the output of a task that has none
    │   ├── TaskTimeoutError              (also TimeoutError) it ran longer than it may
    │   └── TaskEndedError                a context that was used after its task's end
    ├── ScriptError                       a script that ``molexp run`` cannot drive
    └── PluginError
        ├── PluginLoadError               one or more plugins are broken
        └── PluginMissingError            nothing installed provides what was asked for

An error's facts are attributes; its message is built from them. Every error survives pickling, subclasses in plugins
too, whatever their ``__init__`` takes.
"""

from __future__ import annotations

from molexp.errors._base import MolexpError, NotFoundError
from molexp.errors._executors import ExecutorError, NotPicklableError, RemoteError, WorkerDiedError
from molexp.errors._plugins import PluginError, PluginLoadError, PluginMissingError
from molexp.errors._queues import QueueError, QueueUnavailableError
from molexp.errors._record import (
    ConflictError,
    CorruptRecordError,
    InvalidNameError,
    ProfileError,
    QueryError,
    RecordError,
    SchemaError,
    SerializationError,
    StorageSettingsError,
)
from molexp.errors._runs import (
    AmbiguousAssetError,
    AssetError,
    AssetExistsError,
    CommandError,
    ContextClosedError,
    HashMismatchError,
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
    SpecialFileError,
    StorageFullError,
    StoreError,
    StorePermissionError,
    UnavailableError,
    UnsupportedOperationError,
    WorkspaceMovedError,
)
from molexp.errors._workflows import (
    CycleError,
    DuplicateTaskError,
    ScriptError,
    TaskEndedError,
    TaskError,
    TaskFailedError,
    TaskNotSucceededError,
    TaskTimeoutError,
    UnboundExperimentError,
    UnknownTaskError,
    WorkflowDefinitionError,
    WorkflowError,
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
    "CycleError",
    "DuplicateTaskError",
    "ExecutorError",
    "HashMismatchError",
    "InvalidKeyError",
    "InvalidNameError",
    "KeyExistsError",
    "KeyMovedError",
    "KeyNotFoundError",
    "MolexpError",
    "NoKindError",
    "NotFoundError",
    "NotPicklableError",
    "PluginError",
    "PluginLoadError",
    "PluginMissingError",
    "ProfileError",
    "QueryError",
    "QueueError",
    "QueueUnavailableError",
    "ReadOnlyError",
    "RecordError",
    "RemoteError",
    "RunBusyError",
    "RunCancelledError",
    "RunError",
    "RunFinishedError",
    "RunSupersededError",
    "SchemaError",
    "ScriptError",
    "SerializationError",
    "SpecialFileError",
    "StorageFullError",
    "StorageSettingsError",
    "StoreError",
    "StorePermissionError",
    "TaskEndedError",
    "TaskError",
    "TaskFailedError",
    "TaskNotSucceededError",
    "TaskTimeoutError",
    "UnavailableError",
    "UnboundExperimentError",
    "UnknownTaskError",
    "UnsupportedOperationError",
    "WorkerDiedError",
    "WorkflowDefinitionError",
    "WorkflowError",
    "WorkspaceMovedError",
]

for _name in __all__:
    globals()[_name].__module__ = __name__  # the name that people find, in tracebacks and pickles too
del _name
