"""The payment service: a small, ordinary HTTP service on PostgreSQL that tells everything about itself."""

__version__ = "1.0.0"
