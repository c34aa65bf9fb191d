"""Environment of the migrations: run them in the connection that `was_daemon.catalogue.database` hands over."""

from alembic import context

from was_daemon.catalogue.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
