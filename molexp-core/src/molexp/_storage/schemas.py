"""Schema numbers of the documents of a workspace, which each of them bears as ``schema``.

A version of MolExp refuses to write where a document has a larger number than it knows: see
`molexp._values.documents.check_schema`. Kinds of assets number the schemas of their own fields.
"""

WORKSPACE = 1
SETTINGS = 1
DEFINITION = 1  # of a project, an experiment or a run
EDIT = 1
ARRIVAL = 1
ATTEMPT = 1  # its claim, its end, a writer's file of events, and a copy
VOID = 1
DATA = 1
PROVENANCE = 1
SUBMISSION = 1  # and what the engine answered, and its end
WORKFLOW = 1
JOURNAL = 1
SNAPSHOT = 1
SPOOL = 1
