"""``python -m incidents.runner.healthcheck``: for a container's own health check; exits 1 unless the runner serves."""

import os
import sys
import urllib.error
import urllib.request

_TIMEOUT = 2.0


def main() -> int:
    """Returns the exit code."""
    url = f"http://127.0.0.1:{os.environ.get('RUNNER_PORT', '8070')}/ready"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # a constant scheme and host
            return 0 if answer.status == 200 else 1  # noqa: PLR2004  # OK
    except (urllib.error.URLError, TimeoutError) as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
