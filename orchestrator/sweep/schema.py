"""What a model takes: its parameters, and the form in which each value is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from orchestrator.sweep.problems import did_you_mean, listed, shorten
from orchestrator.sweep.scalars import json_number, plain, simplest
from orchestrator.tasks import Scalar


class Kind(StrEnum):
    """The form in which a parameter's values are sent."""

    NUMBER = "number"
    DECIMAL = "decimal"
    FLAG = "flag"
    TEXT = "text"


class UnfitError(ValueError):
    """A value that a parameter does not take; `hint` says what to do, where that is known."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


ADDRESS = "address"
"""Our word for the type of a file parameter's `…Url` twin, which stands in no schema."""
FILE_TYPES = frozenset({"fileinput", "multifileinput", "combinefileinput"})
_KINDS = {"number": Kind.NUMBER, "range": Kind.NUMBER, "float": Kind.DECIMAL, "checkbox": Kind.FLAG}
_TRUTHS = {"true": True, "1": True, "on": True, "yes": True, "false": False, "0": False, "off": False, "no": False}


@dataclass(frozen=True, slots=True)
class Option:
    """One value that a `select` parameter takes, and what the service calls it."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a model.

    Attributes:
        name: The key under which it is sent.
        type: As the service calls it: `text`, `number`, `select`, … (the API page lists them).
        required: Whether the service wants a value.
        default: The schema's default as sent, or None where there is none to send.
        options: What it takes, each value once, in the schema's order; empty where anything goes.
        low: The smallest number, or None.
        high: The largest number, or None.
        step: What two neighbouring numbers are apart, counted from `low` (else from 0), or None for any number.
    """

    name: str
    type: str
    required: bool = False
    default: Scalar = None
    options: tuple[Option, ...] = ()
    low: Decimal | None = None
    high: Decimal | None = None
    step: Decimal | None = None

    @property
    def kind(self) -> Kind:
        """The form in which values are sent."""
        return _KINDS.get(self.type, Kind.TEXT)

    def send(self, value: str | Decimal | bool) -> Scalar:
        """Return a value in the form in which it is sent.

        Args:
            value: What a job file gives: text, an exact number or a truth value.

        Raises:
            UnfitError: The parameter does not take it.
        """
        sent = as_sent(self.kind, value)
        if self.kind in (Kind.NUMBER, Kind.DECIMAL):
            number = Decimal(str(sent))
            self._check_range(number)
            self._check_step(number)
        if self.options and str(sent) not in {option.value for option in self.options}:
            raise UnfitError(
                f"`{shorten(str(sent))}` is not among the options of `{self.name}`", self._nearest(str(sent))
            )
        if self.type == ADDRESS and sent and not str(sent).startswith(("http://", "https://")):
            hint = f"Give a local file under `{self.name.removesuffix('Url')}`."
            raise UnfitError(f"`{shorten(str(sent))}` is not an address that begins with http:// or https://", hint)
        if self.required and sent == "":
            raise UnfitError(f"`{self.name}` is required, and an empty text is not a value")
        return sent

    def _check_range(self, number: Decimal) -> None:
        if self._is_in_range(number):
            return
        if self.low is None:
            bounds = f"at most {self.high}"
        else:
            bounds = f"at least {self.low}" if self.high is None else f"from {self.low} to {self.high}"
        raise UnfitError(f"{plain(number)} is out of range: `{self.name}` takes {bounds}")

    def _check_step(self, number: Decimal) -> None:
        if self.step is None:
            return
        low = self.low or Decimal(0)
        beyond = (number - low) % self.step
        if beyond:
            below = number - beyond if beyond > 0 else number - beyond - self.step
            near = [plain(simplest(each)) for each in (below, below + self.step) if self._is_in_range(each)]
            hint = f"The nearest are {' and '.join(near)}." if len(near) == 2 else f"The nearest is {near[0]}."
            steps = f"steps of {plain(simplest(self.step))}" + (f" from {plain(simplest(low))}" if low else "")
            raise UnfitError(f"{plain(number)} is between the {steps} that `{self.name}` takes", hint if near else None)

    def _is_in_range(self, number: Decimal) -> bool:
        return (self.low is None or number >= self.low) and (self.high is None or number <= self.high)

    def _nearest(self, found: str) -> str | None:
        for option in self.options:
            if found.casefold() == option.label.casefold():
                return f'`{option.label}` is the label of the option "{option.value}": write that.'
        return did_you_mean(found, [option.value or '""' for option in self.options])


def as_sent(kind: Kind, value: str | Decimal | bool) -> Scalar:
    """Return a value in the form of a kind, not knowing ranges and options.

    Raises:
        UnfitError: The value has no such form.
    """
    if kind is Kind.TEXT:
        return _text(value)
    if kind is Kind.FLAG:
        return _flag(value)
    number = _number(value)
    if kind is Kind.DECIMAL:
        return plain(simplest(number))
    try:
        return json_number(number)
    except ValueError as error:
        raise UnfitError(str(error), "Use fewer digits.") from None


def _text(value: str | Decimal | bool) -> str:
    if isinstance(value, bool):
        raise UnfitError("a truth value was given where text is expected", "Put the word in quotes.")
    return plain(value) if isinstance(value, Decimal) else value


def _flag(value: str | Decimal | bool) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise UnfitError(f"`{shorten(str(value))}` was given where true or false is expected")


def _number(value: str | Decimal | bool) -> Decimal:
    if isinstance(value, bool):
        raise UnfitError(f"`{str(value).lower()}` was given where a number is expected")
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or abs(number.adjusted()) > 100:  # plain digits of more would fill the memory
        found = f"`{shorten(str(value))}`" if value else "an empty text"
        raise UnfitError(f"{found} was given where a number is expected")
    return number


@dataclass(frozen=True, slots=True)
class Schema:
    """The parameters of one model, in the service's order."""

    model: str
    parameters: Mapping[str, Parameter]

    @classmethod
    def from_tool(cls, tool: Mapping[str, Any]) -> Schema:
        """Read the `tool` mapping of a `/Tool/Detail` reply (the API page); what it does not know it leaves out.

        Args:
            tool: As it came: groups of `items` under `parameters`, numbers as texts or numbers.

        Returns:
            The schema; a file parameter stands with its `…Url` twin.
        """
        found: dict[str, Parameter] = {}
        for item in _items(tool.get("parameters")):
            parameter = _parameter(item)
            found.setdefault(parameter.name, parameter)
            if parameter.type in ("fileinput", "multifileinput"):
                twin = f"{parameter.name}Url"
                found.setdefault(twin, Parameter(twin, ADDRESS))
        return cls(f"{tool.get('slugowner', '')}/{tool.get('slugproject', '')}", found)

    def unknown(self, name: str) -> tuple[str, str | None]:
        """Return the message and the hint for a parameter that the model does not have."""
        hint = did_you_mean(name, self.parameters)
        return f"The model has no parameter `{shorten(name)}`.", hint

    def options(self, name: str) -> tuple[str, ...]:
        """Return every value that a parameter's schema lists, each once, in its order."""
        return tuple(option.value for option in self.parameters[name].options)


def missing(parameter: Parameter) -> str:
    """Return the message for a required parameter without a value."""
    options = f"; it takes {listed([each.value for each in parameter.options])}" if parameter.options else ""
    return f"The model requires `{parameter.name}`, and neither `parameters` nor `sweep` gives it{options}."


def _items(groups: object) -> Iterator[Mapping[str, Any]]:
    for group in _sequence(groups):
        if isinstance(group, Mapping):
            members = _sequence(group.get("items")) if "items" in group else [group]
            yield from (item for item in members if isinstance(item, Mapping) and isinstance(item.get("id"), str))


def _sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def _parameter(item: Mapping[str, Any]) -> Parameter:
    kind = str(item.get("type") or "text").lower()
    options = _options(item.get("options")) if kind not in _KINDS else ()
    parameter = Parameter(
        name=item["id"],
        type=kind,
        required=_TRUTHS.get(str(item.get("required")).lower(), False),
        options=options,
        low=_bound(item.get("min")),
        high=_bound(item.get("max")),
    )
    default = _default(parameter, item.get("default"))
    return replace(parameter, default=default, step=_step(replace(parameter, step=_bound(item.get("step"))), default))


def _options(raw: object) -> tuple[Option, ...]:
    found: dict[str, Option] = {}
    for entry in _sequence(raw):
        value = entry.get("value", entry.get("label")) if isinstance(entry, Mapping) else entry
        if isinstance(value, (str, int, float)):
            label = entry.get("label") if isinstance(entry, Mapping) else None
            found.setdefault(str(value), Option(str(value), str(label or value)))
    return tuple(found.values())


def _bound(raw: object) -> Decimal | None:
    try:
        return None if raw is None or isinstance(raw, bool) else _number(str(raw))
    except UnfitError:
        return None


def _step(parameter: Parameter, default: Scalar) -> Decimal | None:
    """Return the step, None where it says nothing or the schema's own default does not keep to it."""
    if parameter.kind not in (Kind.NUMBER, Kind.DECIMAL) or parameter.step is None or parameter.step <= 0:
        return None
    try:
        parameter.send(str(default if default is not None else parameter.low or 0))
    except UnfitError:
        return None
    return parameter.step


def _default(parameter: Parameter, raw: object) -> Scalar:
    """Return a default as sent: numbers without one and files are left out, texts without one are empty."""
    if parameter.type in FILE_TYPES:
        return None
    text = "" if raw is None or isinstance(raw, (list, dict)) else str(raw)
    if parameter.kind is Kind.FLAG:
        return _TRUTHS.get(text.lower(), False)
    if parameter.kind is Kind.TEXT:
        return text if text or not parameter.required else None
    try:
        return as_sent(parameter.kind, text)
    except UnfitError:
        return None
