"""``python -m cli``, which is what ./demo runs."""

import gc

# Importing makes many objects and no garbage: looking for it takes a tenth of a short command's time.
gc.set_threshold(100_000, 50, 50)

from cli.main import main  # noqa: E402

main()
