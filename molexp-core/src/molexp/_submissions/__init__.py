"""Submitting runs to queues, and what becomes of them: the protocol is in ``docs/explanation/submissions.md``.

`preparing` decides which runs a submission gets, and its batches; `submitting` writes it, calls the engine and notes the answer.
`working` is what a job does. `reconciling` asks the engines, and brings the record up to date with what they say.
"""
