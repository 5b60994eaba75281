"""The table of runs: from an address to the rows, columns, filters and groups that its page shows.

Begin with `asking`: the address. `listing` asks the catalog for one page, and `cells` writes values.
"""
