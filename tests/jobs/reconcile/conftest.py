"""A server with databases of Specify."""

from tests.specify.conftest import catalogue, specify, specify_server  # noqa: F401  # fixtures
