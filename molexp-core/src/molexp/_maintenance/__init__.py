"""Maintenance: `fsck` looks for damage, `gc` frees what nobody needs, `scrub` reads every byte."""
