"""The demo as plain data; this package imports no Pulumi."""
