"""Alembic's way in: it works on the connection, and in the transaction, of :func:`serving.database.migrate`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
