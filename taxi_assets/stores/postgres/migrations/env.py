"""Run by Alembic: renders the revisions as SQL, which the caller executes in a transaction of its own."""

from alembic import context

context.configure(
    dialect_name="postgresql",
    output_buffer=context.config.output_buffer,
    version_table_schema="taxi_assets",
    transactional_ddl=False,
)
context.run_migrations()
