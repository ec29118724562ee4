"""Targets render a topology into Pulumi resources; there is one protocol and one package for each of them."""
