"""The catalogue's documents in MongoDB. What is committed in SQL is the truth; see docs/decisions/0011-documents-beside-the-log.md."""
