"""The graph of assets and runs: what something was made from, and what was made from it."""
