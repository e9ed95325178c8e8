"""The migrations of the ledger: revisions of Alembic, written in SQL.

A revision may meet what it makes: a log that was dropped is made again from the first revision on. So each of its
statements says `IF NOT EXISTS`, `OR REPLACE` or the like. It keeps what older code writes and reads working.
"""
