"""Plugins: found from metadata, loaded late, one at a time, and isolated from each other.

A plugin is an entry point of the group ``molexp.plugins``; what it can register is in `molexp.hookspecs`. Core's own
built-ins are plugins too and have no privilege. How to write one: ``docs/how-to/write-a-plugin.md``.

Environment variables, read when a manager is made:

- ``MOLEXP_PLUGINS``: a comma-separated list of plugin or distribution names; only these are used. Built-ins are no
  exception: whoever lists plugins also lists ``molexp-core`` and ``molexp-fs``. Unset or empty means all.
- ``MOLEXP_DISABLE_PLUGINS``: a comma-separated list of plugin or distribution names that are not used; it wins over
  the list above.
- ``MOLEXP_STRICT_PLUGINS``: ``1`` turns whatever is wrong with any plugin into an error at first use. Unset, empty,
  ``0``, ``false``, ``no`` and ``off`` mean no.
- ``MOLEXP_PLUGIN_TIMEOUT``: the seconds that importing a new plugin may take in the process in which it is tried first; 30
  by default, ``0`` to try none.
"""

from typing import TYPE_CHECKING

from molexp._values.late_names import late_names
from molexp.plugins._environment import install_command
from molexp.plugins._info import PluginInfo, PluginStatus, PluginWarning, Trial
from molexp.plugins._manager import PluginManager, default_manager

if TYPE_CHECKING:
    from molexp.plugins._examination import Examination

__all__ = [
    "Examination",
    "PluginInfo",
    "PluginManager",
    "PluginStatus",
    "PluginWarning",
    "Trial",
    "default_manager",
    "install_command",
]


if not TYPE_CHECKING:  # to a type checker it would make every misspelt name one of unknown type
    __getattr__ = late_names(__name__, {"molexp.plugins._examination": ["Examination"]})  # for authors of plugins alone
