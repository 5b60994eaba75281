"""The conformance kit of storage backends."""

from __future__ import annotations

from molexp.testing._store_capabilities import CapabilityTests
from molexp.testing._store_documents import DocumentTests
from molexp.testing._store_keys import KeyTests
from molexp.testing._store_listings import ListingTests
from molexp.testing._store_payloads import PayloadTests
from molexp.testing._store_races import RaceTests
from molexp.testing._store_values import ValueTests


class StoreTests(
    DocumentTests, KeyTests, ValueTests, ListingTests, PayloadTests, CapabilityTests, RaceTests, abstract=True
):
    """Tests of what every `molexp.contracts.Store` must do; subclass it with a back door.

    A subclass defines the fixture ``store``, which gives a fresh, empty store, and the methods ``raw_write(store, key,
    data)``, ``raw_read(store, key)`` (None where nothing is) and ``raw_keys(store)``, which reach the same storage by
    other means, so that two errors of the store cannot hide each other. ``break_storage(store)`` makes that storage fail.
    Leaving one out is a `TypeError` when the class is defined. Another may stand between, declared with ``class Mine(StoreTests, abstract=True)``.

    Set ``shared_by_processes = False`` if an unpickled copy in another process reaches other keys, ``folds_keys = True`` if
    the storage takes keys that differ in case for one, ``refuses_keys_below_keys = False`` if the store cannot tell, and
    ``secrets`` to what must not be told. Tests of capabilities that the store does not declare are skipped; that it then refuses
    them is tested. A test that does not fit can be replaced, with `declared_override` and a reason.

    Nothing here is decided by time. Calls are made to meet by barriers: a store that is exact always passes, and one
    that is not fails as often as its steps can be told apart, which is nearly always but not certain.
    """
