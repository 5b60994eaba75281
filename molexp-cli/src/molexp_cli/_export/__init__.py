"""``molexp export``: runs as a table for other programs, or as an archive of their files.

Begin with `command`. `archive` packs the files of runs into a zip file that is a workspace once it is unpacked; `crate` writes the
metadata that make it an RO-Crate.
"""
