"""A tool that agents call: parameters in, data and metadata out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Protocol, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from gateway.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

P = TypeVar("P", bound="Parameters")

Text = Annotated[StrictStr, Field(max_length=1_000_000)]
Number = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Time = Text | StrictInt | Number
# What models leave empty or 0 is not given, as with mcp-grafana.
GivenText = Annotated[Text | None, AfterValidator(lambda text: text or None)]
GivenInt = Annotated[StrictInt | None, AfterValidator(lambda number: number or None)]
_NAMES_SHOWN = 10


class Parameters(BaseModel):
    """A tool's parameters. What it does not know is ignored: clients pass options of other versions on."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a tool found.

    Attributes:
        data: in the form of the server that was asked.
        metadata: what was asked in the end, and notes.
    """

    data: Mapping[str, object]
    metadata: dict[str, object] = field(default_factory=dict[str, object])


class BadCall(Refused):
    """No tool was called: there is none of this name, or its parameters have another form."""


class Tool(Protocol):
    """What a dialect needs of a tool."""

    @property
    def name(self) -> str:
        """Under which it is called."""
        ...

    async def run(self, parameters: Mapping[str, object], span: Span) -> Outcome:
        """Return the outcome.

        Raises:
            Refused: the parameters are wrong, or a back end says no.
        """
        ...


def read(shape: type[P], given: Mapping[str, object]) -> P:
    """Return the parameters, typed.

    Raises:
        BadCall: one is missing or of another type; 400 with a sentence for each.
    """
    try:
        return shape.model_validate(given)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        # A union names the fault of each of its members.
        sentences = dict[str, str]()
        for fault in faults:
            sentences.setdefault(str(fault["loc"][0]) if fault["loc"] else "params", fault["msg"])
        text = "; ".join(f"{name}: {message}" for name, message in list(sentences.items())[:_NAMES_SHOWN])
        raise BadCall(400, "bad_data", text) from None


def unknown(shape: type[Parameters], given: Mapping[str, object]) -> dict[str, object]:
    """Return metadata that names the parameters which were ignored, if any were."""
    ignored = sorted(name[:80] for name in given if name not in shape.model_fields)[:_NAMES_SHOWN]
    return {"ignored": ignored} if ignored else {}
