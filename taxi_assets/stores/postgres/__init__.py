"""PostgreSQL: the analysts' database."""
