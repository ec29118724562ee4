"""What the runner refuses, and what went wrong; each text is one sentence for the person who asked.

RunnerError
├── NotFoundError       no such incident
├── RefusedError        not now, or not by you
├── NotProvenError      a piece of evidence did not show
├── NotRecoveredError   something of an incident is still there
└── UnreachableError    the database, the gateway or the payment service does not answer
"""

from http import HTTPStatus

__all__ = ["NotFoundError", "NotProvenError", "NotRecoveredError", "RefusedError", "RunnerError", "UnreachableError"]


class RunnerError(Exception):
    """Base; ``status`` is the HTTP status of the API's answer."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR


class NotFoundError(RunnerError):
    """There is no such incident."""

    status = HTTPStatus.NOT_FOUND


class RefusedError(RunnerError):
    """It would do harm now, or somebody else is at it."""

    status = HTTPStatus.CONFLICT


class NotProvenError(RunnerError):
    """An incident was injected and did not show."""

    status = HTTPStatus.BAD_GATEWAY


class NotRecoveredError(RunnerError):
    """The baseline is not back."""

    status = HTTPStatus.BAD_GATEWAY


class UnreachableError(RunnerError):
    """Something that is needed does not answer.

    Args:
        sentence: what, and how.
        http_status: of an answer that was a refusal; None if there was none.
    """

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, sentence: str, http_status: int | None = None) -> None:
        super().__init__(sentence)
        self.http_status = http_status
