"""Plugins of strangers, as separately installed distributions: sound ones, and those that do harm."""
