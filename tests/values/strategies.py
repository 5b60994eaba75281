"""Values to try: plain JSON ones, with keys and texts that are easy to get wrong."""

from __future__ import annotations

from hypothesis import strategies as st

keys = st.text(max_size=4) | st.sampled_from(["$float", "$dict", "$asset", "$", "a", "10", "9"])
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6)
)
plain_values = st.recursive(
    scalars | st.sampled_from([0, 1, 0.0, -0.0, 1.0, True, False, 2**53, float(2**53), 1e22, 10**22]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)
