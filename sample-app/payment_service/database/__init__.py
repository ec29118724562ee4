"""The task that makes the database: roles, schema, data. Run as ``python -m payment_service.database``."""
