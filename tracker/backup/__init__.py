"""`clickbind backup` and `clickbind restore`: everything an installation is, in one folder that says what it holds.

Copied in the direction data flows: the spill, then Valkey, then PostgreSQL. What moves on while the copy is made is then in two
places of it, never in none, and ids make it count once: a click of the copied log that PostgreSQL has already is known by its
id when the restored recorder reads it again.
"""
