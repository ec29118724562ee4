"""What the API server refuses, as one sentence for the person who has to do something about it.

ProviderFault        one clear sentence
├── ApiFault         the API server said no
│   ├── NotFound     there is no such object
│   ├── NoNamespace  its namespace does not exist
│   ├── Expired      a watch asks for what the API server has forgotten
│   ├── Invalid      the object, or this change of it, is not valid
│   └── Conflict     fields belong to someone else, or the object is not the one that was meant
├── Unreachable      the API server does not answer
└── NotReady         the object is there, but does not become ready; carries what is known of it
"""

import re
from http import HTTPStatus
from typing import Any, Final

from infra.errors import DemoError
from kubernetes_provider.paths import items_at, object_at

__all__ = [
    "ApiFault",
    "Conflict",
    "Expired",
    "Invalid",
    "NoNamespace",
    "NotFound",
    "NotReady",
    "ProviderFault",
    "Unreachable",
    "api_fault",
    "quota_sentence",
]

_FORBIDDEN: Final = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]*)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]*)"| at the cluster scope)?'
)
_QUOTA: Final = re.compile(
    r"exceeded quota: (?P<quota>[^,]+), requested: (?P<asked>.+), used: (?P<used>.+), limited: (?P<limited>[^;]+)"
)
_MUST_SPECIFY: Final = re.compile(r"failed quota: (?P<quota>[^:]+): must specify (?P<what>.+)")


class ProviderFault(DemoError):  # noqa: N818 # the project's errors are named after what is wrong
    """Something a person has to mend; its text is the whole message."""


class ApiFault(ProviderFault):
    """The API server refused a request."""


class NotFound(ApiFault):
    """There is no such object."""


class NoNamespace(ApiFault):
    """The namespace of the object does not exist."""


class Expired(ApiFault):
    """The API server has forgotten the version that a watch was to begin at."""


class Invalid(ApiFault):
    """The object is not valid, or what is asked cannot be changed in place."""


class Conflict(ApiFault):
    """Fields are managed by someone else, or the object changed hands."""


class Unreachable(ProviderFault):
    """The API server does not answer."""


class NotReady(ProviderFault):
    """The object exists but does not become ready."""


_BY_CODE: Final[dict[int, type[ApiFault]]] = {
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.GONE: Expired,
    HTTPStatus.UNPROCESSABLE_ENTITY: Invalid,
}


def api_fault(what: str, code: int, status: dict[str, Any]) -> ApiFault:
    """The fault for an answer that is an error.

    ``what`` names the object and ``status`` is the ``Status`` object that Kubernetes answers with.
    """
    message = str(status.get("message") or f"the API server answered {code} without a reason").strip()
    details: dict[str, Any] = object_at(status, "details")
    kind: type[ApiFault] = _BY_CODE.get(code, ApiFault)
    if code == HTTPStatus.NOT_FOUND:
        if details.get("kind") == "namespaces" and not what.startswith("Namespace "):
            return NoNamespace(f"{what} cannot be made: the namespace {details.get('name')} does not exist.")
        return kind(f"{what} does not exist.")
    if code == HTTPStatus.UNAUTHORIZED:
        return kind(f"{what}: the API server does not accept the credentials of this context.")
    if code == HTTPStatus.FORBIDDEN:
        return kind(_forbidden(what, message, details))
    managers = _managers(details) if code == HTTPStatus.CONFLICT else ""
    return kind(f"{what} was not changed: {managers}." if managers else f"{what} was refused: {message}")


def quota_sentence(message: str) -> str | None:
    """What a message about a quota says is missing; ``None`` if it is about something else."""
    if found := _QUOTA.search(message):
        return (
            f"the quota {found['quota']} is too small: {found['asked']} is asked for, "
            f"{found['used']} is in use, {found['limited']} is the limit"
        )
    if found := _MUST_SPECIFY.search(message):
        return f"the quota {found['quota']} wants every container to say its {found['what']}"
    return None


def _forbidden(what: str, message: str, details: dict[str, Any]) -> str:
    if quota := quota_sentence(message):
        return f"{what} was refused: {quota}."
    if any(cause.get("reason") == "NamespaceTerminating" for cause in items_at(details, "causes")):
        return f"{what} cannot be made: its namespace is being deleted; try again when it is gone."
    if found := _FORBIDDEN.search(message):
        group = f" of the API group {found['group']}" if found["group"] else ""
        where = f"in the namespace {found['namespace']}" if found["namespace"] else "in the whole cluster"
        return (
            f"{what}: the user {found['user']} lacks the right to {found['verb']} {found['resource']}{group} {where}."
        )
    return f"{what} was refused: {message}"


def _managers(details: dict[str, Any]) -> str:
    """Who manages which of the fields that were to be changed; empty if the conflict is of another kind."""
    by_manager: dict[str, list[str]] = {}
    for cause in items_at(details, "causes"):
        if cause.get("reason") == "FieldManagerConflict":
            found = re.search(r'conflict with "([^"]+)"', str(cause.get("message")))
            by_manager.setdefault(found[1] if found else "someone else", []).append(str(cause.get("field")).lstrip("."))
    return " and ".join(f"{manager} manages {', '.join(fields)}" for manager, fields in by_manager.items())
