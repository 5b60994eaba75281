"""Answering a question: from an expression to SQL, and from rows to answers."""
