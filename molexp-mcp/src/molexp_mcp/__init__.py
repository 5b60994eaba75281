"""Tools for assistants: an MCP server that answers from the record of a workspace.

`molexp mcp` starts it. For programs, `molexp_mcp.server.build_server` makes one, and `molexp_mcp.permissions.Permissions` holds
what it may change.
"""
