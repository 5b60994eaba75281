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

import pytest

# Before they are imported: their asserts explain themselves like those of a test module.
pytest.register_assert_rewrite(
    "molexp.testing._executor_base",
    "molexp.testing._executor_limits",
    "molexp.testing._executor_tests",
    "molexp.testing._executor_travel",
    "molexp.testing._kind_tests",
    "molexp.testing._plugin_tests",
    "molexp.testing._scheme_tests",
    "molexp.testing._store_capabilities",
    "molexp.testing._store_documents",
    "molexp.testing._store_keys",
    "molexp.testing._store_listings",
    "molexp.testing._store_payloads",
    "molexp.testing._store_races",
    "molexp.testing._store_values",
)

from molexp.testing._conformance import Conformance, declared_override, required  # noqa: E402
from molexp.testing._executor_tests import ExecutorTests  # noqa: E402
from molexp.testing._kind_tests import AssetKindTests  # noqa: E402
from molexp.testing._plugin_tests import PluginTests  # noqa: E402
from molexp.testing._scheme_tests import RunIdSchemeTests  # noqa: E402
from molexp.testing._store_tests import StoreTests  # noqa: E402

__all__ = [
    "AssetKindTests",
    "Conformance",
    "ExecutorTests",
    "PluginTests",
    "RunIdSchemeTests",
    "StoreTests",
    "declared_override",
    "required",
]
