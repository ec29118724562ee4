"""Reads what clients send, and refuses what makes no sense before anything else happens."""

import asyncio
import re
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.requests import ClientDisconnect, Request

from payment_service.problems import Problem, invalid

MAX_BODY = 16 * 1024
MAX_INT = 2**31 - 1
MAX_BIGINT = 2**63 - 1
_BODY_TIMEOUT = 10.0
_INTEGER = re.compile(r"[0-9]{1,19}")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}")

Identifier = Annotated[int, Field(strict=True, ge=1, le=MAX_INT)]


class _Body(BaseModel):
    """A request body. Unknown members are ignored and never logged: clients send what they like, card data included."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PaymentBody(_Body):
    """``POST /payment``."""

    amount: Annotated[float, Field(strict=True, ge=0.01, le=1_000_000, allow_inf_nan=False)]
    currency: Literal["EUR"] = "EUR"
    customer_id: Identifier | None = None
    merchant_id: Identifier | None = None


class RefundBody(_Body):
    """``POST /payment/{payment_id}/refund``."""

    reason: Annotated[str, StringConstraints(strict=True, pattern=r"^[^\x00-\x1f\x7f]{1,200}$")] = "returned"


class SettlementBody(_Body):
    """``POST /settlement-runs``."""

    merchant_id: Identifier
    business_date: Annotated[str, Field(strict=True)] | None = None


B = TypeVar("B", bound=BaseModel)


async def read_body(request: Request) -> bytes:
    """The request's body.

    Args:
        request: The request.

    Raises:
        Problem: It is too large, too slow, compressed, or was broken off.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Compressed bodies are not accepted.")
    length = request.headers.get("content-length", "0")
    if len(length) > len(str(MAX_BODY)) or (length.isdecimal() and int(length) > MAX_BODY):
        raise _too_large()
    body = b""
    try:
        async with asyncio.timeout(_BODY_TIMEOUT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise _too_large()
    except TimeoutError:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time.") from None
    except ClientDisconnect:
        raise Problem(HTTPStatus.BAD_REQUEST, "The body was broken off.") from None
    return body


async def parse_body(request: Request, kind: type[B], *, optional: bool = False) -> B:
    """The request's body as a model.

    Args:
        request: The request.
        kind: The model.
        optional: Whether an empty body stands for an empty object.

    Raises:
        Problem: It is no JSON (400), or says something impossible (422).
    """
    body = await read_body(request)
    try:
        return kind.model_validate_json(body if body or not optional else b"{}")
    except ValidationError as error:
        raise describe_fault(error) from None


def describe_fault(error: ValidationError) -> Problem:
    """The problem for the first fault that pydantic found.

    Args:
        error: What pydantic raised.
    """
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if fault["type"] == "json_invalid":
        return Problem(HTTPStatus.BAD_REQUEST, "The body is not valid JSON.")
    where = ".".join(str(part) for part in fault["loc"]) or "The body"
    return invalid(f"{where}: {fault['msg']}.")


def path_id(request: Request, name: str, *, most: int = MAX_INT) -> int:
    """A number of the path.

    Args:
        request: The request.
        name: The parameter.
        most: Largest number that can be an id.

    Raises:
        Problem: It is none.
    """
    text = str(request.path_params[name])
    if _INTEGER.fullmatch(text) is None or not 1 <= (number := int(text)) <= most:
        raise invalid(f"{name} must be a number between 1 and {most}.")
    return number


def query_int(request: Request, name: str, *, default: int, most: int) -> int:
    """A number of the query string.

    Args:
        request: The request.
        name: The parameter.
        default: Its value if it is not there.
        most: Largest number accepted.

    Raises:
        Problem: It is none.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if _INTEGER.fullmatch(text) is None or not 1 <= (number := int(text)) <= most:
        raise invalid(f"{name} must be a number between 1 and {most}.")
    return number


def parse_date(text: str | None, name: str, default: date) -> date:
    """A date of ISO 8601, within reason.

    Args:
        text: ``YYYY-MM-DD``, or None.
        name: What it is, for the client.
        default: Its value if it is not there.

    Raises:
        Problem: It is none.
    """
    if text is None:
        return default
    try:
        value = date.fromisoformat(text)
    except ValueError:
        raise invalid(f"{name} must be a date such as 2026-01-31.") from None
    if not 2000 <= value.year < 2100:  # noqa: PLR2004  # within reason
        raise invalid(f"{name} must lie between 2000 and 2099.")
    return value


def today(*, days_ago: int = 0) -> date:
    """The present business day, which ends at midnight UTC, or one before it.

    Args:
        days_ago: How many days before.
    """
    return datetime.now(UTC).date() - timedelta(days=days_ago)


def idempotency_key(request: Request) -> str | None:
    """The header ``Idempotency-Key``.

    Args:
        request: The request.

    Raises:
        Problem: It is empty, too long, or not printable ASCII.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and _IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise Problem(
            HTTPStatus.BAD_REQUEST, "Idempotency-Key must be 1 to 128 printable ASCII characters without blanks."
        )
    return key


def _too_large() -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {MAX_BODY} bytes.")
