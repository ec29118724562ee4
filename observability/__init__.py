"""Configuration of the observability stack; the one program here draws the dashboard."""
