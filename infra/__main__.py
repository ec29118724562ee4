"""The Pulumi program, as Pulumi.yaml names it."""

from infra.program import run

run()
