"""``python -m cli``, which is what ./demo runs."""

from cli.main import main

main()
