"""The Pulumi program."""

import pulumi

from infra.errors import DemoError
from infra.program import build, read_config


def main() -> None:
    """Export what the stack gives."""
    stack = pulumi.get_stack()
    try:
        outputs = build(stack, read_config(stack), dry_run=pulumi.runtime.is_dry_run())
    except DemoError as error:
        # Pulumi shows a RunError as it is, without a traceback.
        raise pulumi.RunError(str(error)) from None
    for name, value in outputs.items():
        pulumi.export(name, value)


main()
