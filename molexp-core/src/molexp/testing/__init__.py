"""Conformance kits: what MolExp's own implementations of its contracts pass, for yours to pass too.

They need pytest. A test module of a storage backend is one class::

    import pytest
    from molexp.testing import StoreTests

    class TestMyStore(StoreTests):
        @pytest.fixture
        def store(self, tmp_path):
            return MyStore.open(f"my://{tmp_path}", {})

        def raw_write(self, store, key, data): ...   # by other means than the store's own
        def raw_read(self, store, key): ...
        def raw_keys(self, store): ...
        def break_storage(self, store): ...

One of an executor is shorter still::

    import asyncio
    from molexp.testing import ExecutorTests

    class TestMyExecutor(ExecutorTests):
        @pytest.fixture
        def executor(self):
            executor = MyExecutor(workers=2)
            yield executor
            asyncio.run(executor.close())

One of a queue says how to make one whose engine does not answer, too::

    from molexp.testing import QueueTests

    class TestMyQueue(QueueTests):
        @pytest.fixture
        def queue(self): return MyQueue()
        def unreachable(self, folder): return MyQueue(address="127.0.0.1:1")

One of an asset kind says which objects it is tried with::

    from molexp.testing import AssetKindTests

    class TestMyKind(AssetKindTests):
        def kind(self): return MyKind
        def objects(self): ...           # two or more, as different as they come
        def fields(self, obj): ...       # the fields that its record must have

One of a run-id scheme says which ids it has given already::

    from molexp.testing import RunIdSchemeTests

    class TestMyScheme(RunIdSchemeTests):
        def scheme(self): return MyScheme
        def known_ids(self): ...         # identities with their ids, which never change

One of the whole distribution, as it is installed, names it::

    from molexp.testing import PluginTests

    class TestMyPlugin(PluginTests):
        def distribution(self): return "molexp-lab"
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from molexp.testing._conformance import Conformance, declared_override, required
    from molexp.testing._executor_tests import ExecutorTests
    from molexp.testing._kind_tests import AssetKindTests
    from molexp.testing._plugin_tests import PluginTests
    from molexp.testing._queue_tests import QueueTests
    from molexp.testing._scheme_tests import RunIdSchemeTests
    from molexp.testing._store_tests import StoreTests

__all__ = [
    "AssetKindTests",
    "Conformance",
    "ExecutorTests",
    "PluginTests",
    "QueueTests",
    "RunIdSchemeTests",
    "StoreTests",
    "declared_override",
    "required",
]

_MODULES = {
    "AssetKindTests": "_kind_tests",
    "Conformance": "_conformance",
    "ExecutorTests": "_executor_tests",
    "PluginTests": "_plugin_tests",
    "QueueTests": "_queue_tests",
    "RunIdSchemeTests": "_scheme_tests",
    "StoreTests": "_store_tests",
    "declared_override": "_conformance",
    "required": "_conformance",
}
_WITH_ASSERTS = (
    "_executor_base",
    "_executor_limits",
    "_executor_tests",
    "_executor_travel",
    "_kind_tests",
    "_kit_process",
    "_plugin_tests",
    "_queue_base",
    "_queue_tests",
    "_scheme_tests",
    "_store_base",
    "_store_capabilities",
    "_store_documents",
    "_store_keys",
    "_store_listings",
    "_store_payloads",
    "_store_races",
    "_store_values",
)


def _explain_asserts() -> None:
    """Let the asserts of the kits explain themselves like those of a test module. This comes before they are imported."""
    import pytest

    pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in _WITH_ASSERTS))


if "pytest" in sys.modules:  # the processes that kits start have none, and need only a few functions
    _explain_asserts()

if not TYPE_CHECKING:  # to a type checker it would make every misspelt name one of unknown type

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if "pytest" not in sys.modules:
            _explain_asserts()
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
