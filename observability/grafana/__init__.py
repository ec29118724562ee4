"""Grafana: settings, provisioning, and the dashboard with the program that draws it."""
