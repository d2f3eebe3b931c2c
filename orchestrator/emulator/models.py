"""The models on offer: what they take, what they refuse, what a run of them costs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from typing import Any, TypeAlias

from orchestrator.emulator.refusal import RefusalError, no_such_model

Tool: TypeAlias = dict[str, Any]
"""A model as `/Tool/Detail` shows it."""

FILE_TYPES = {"fileinput", "multifileinput", "combinefileinput"}
TEXT_TYPES = {"text", "textarea"}

CAPACITY = {"samples": (1, 100), "steps": (1, 1000), "width": (16, 8192), "height": (16, 8192)}
"""What the machines can do where the schema states no range: (least, most)."""


@dataclass(frozen=True)
class Model:
    """One model of the catalogue.

    Attributes:
        tool: The whole description, in the form of `/Tool/Detail`.
        items: Its parameters by id, in the form of the schema.
    """

    tool: Tool
    items: Mapping[str, Mapping[str, Any]]

    @property
    def name(self) -> str:
        """`owner/model`."""
        return f"{self.tool['slugowner']}/{self.tool['slugproject']}"

    @property
    def writes_text(self) -> bool:
        """Whether its output is text rather than pictures."""
        return "llm" in self.tool["categories"]

    def with_defaults(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters that a run uses: the schema's defaults stand in for what is missing or empty."""
        defaults = {name: item["default"] for name, item in self.items.items()}
        return defaults | {name: value for name, value in parameters.items() if not _absent(value)}

    def count_outputs(self, parameters: Mapping[str, Any]) -> int:
        """Return how many outputs a run makes."""
        return int(float(self.with_defaults(parameters).get("samples", 1)))

    def price_usd(self, parameters: Mapping[str, Any], run_seconds: float) -> Decimal:
        """Return what a successful run costs, by `dynamicprice`, else by the second."""
        if "dynamicprice" not in self.tool:
            return Decimal(f"{run_seconds:.4f}") * Decimal(self.tool["cps"])
        given = self.with_defaults(parameters)
        for entry in json.loads(self.tool["dynamicprice"], parse_float=Decimal):
            if all(_as_text(given.get(name)) == _as_text(value) for name, value in entry["inputs"].items()):
                outputs = self.count_outputs(parameters) if entry["priceMethod"] == "cpo" else 1
                return Decimal(entry["price"]) * outputs
        raise LookupError(f"no price of {self.name} fits the parameters")

    def check(self, parameters: Mapping[str, Any], file_names: Iterable[str] = ()) -> None:
        """Check parameters as the service does.

        Args:
            parameters: As they were sent.
            file_names: The parameters that came as files in the same request.

        Raises:
            RefusalError: Code 0 with the message for the first parameter that does not fit.
        """
        files = set(file_names)
        for name in [*parameters, *files]:
            if name not in self.items and not self._is_url_of_file(name):
                raise RefusalError(0, f"Request parameter [{name}] invalid")
        for name, item in self.items.items():
            if item["type"] in FILE_TYPES:
                _check_file(item, [parameters.get(name), parameters.get(f"{name}Url")], uploaded=name in files)
            elif not _absent(parameters.get(name)):
                _check_value(item, parameters[name])
            elif item["required"]:
                raise RefusalError(0, f"Request parameter [{name}] required")

    def _is_url_of_file(self, name: str) -> bool:
        """Return whether `name` is a file parameter's companion for an address, `{id}Url` (the API page)."""
        item = self.items.get(name.removesuffix("Url"))
        return name.endswith("Url") and item is not None and item["type"] in FILE_TYPES


def find_model(owner: str, name: str) -> Model:
    """Return a model of the catalogue, upper and lower case alike.

    Raises:
        RefusalError: There is no such model.
    """
    model = CATALOGUE.get(f"{owner}/{name}".lower())
    if model is None:
        raise no_such_model()
    return model


def parameter_names() -> tuple[str, ...]:
    """Return every parameter that some model takes, `{id}Url` of file parameters among them."""
    items = {name: item for model in CATALOGUE.values() for name, item in model.items.items()}
    urls = [f"{name}Url" for name, item in items.items() if item["type"] in FILE_TYPES]
    return (*items, *urls)


def _load() -> dict[str, Model]:
    models = {}
    folder = resources.files("orchestrator.emulator") / "catalogue"
    for file in folder.iterdir():
        tool = json.loads(file.read_text("utf-8"))
        items = {item["id"]: item for group in tool["parameters"] for item in group["items"]}
        model = Model(tool, items)
        models[model.name.lower()] = model
    return dict(sorted(models.items(), key=lambda entry: int(entry[1].tool["id"])))


def _absent(value: object) -> bool:
    return value is None or value in ("", [])


def _as_text(value: object) -> str:
    return str(value).lower()


def _number(value: object) -> float | None:
    """Return the number that a value is or spells, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _check_value(item: Mapping[str, Any], value: object) -> None:
    invalid = RefusalError(0, f"Request parameter [{item['id']}] invalid")
    if item["type"] == "select":
        if value not in [option["value"] for option in item["options"]]:
            raise invalid
    elif item["type"] == "checkbox":
        if _as_text(value) not in ("true", "false"):
            raise invalid
    elif item["type"] in TEXT_TYPES:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise invalid
    else:
        number = _number(value)
        if number is None:
            raise invalid
        _check_range(item, number)


def _check_range(item: Mapping[str, Any], number: float) -> None:
    least, most = CAPACITY.get(item["id"], (-math.inf, math.inf))
    least, most = item.get("min", least), item.get("max", most)
    if not least <= number <= most:
        raise RefusalError(0, f"Request parameter [{item['id']}] must be between {least} and {most}")


def _check_file(item: Mapping[str, Any], values: Iterable[object], *, uploaded: bool) -> None:
    addresses = [each for value in values for each in (value if isinstance(value, list) else [value])]
    given = [address for address in addresses if not _absent(address)]
    if not all(isinstance(address, str) and address.startswith(("http://", "https://")) for address in given):
        raise RefusalError(0, f"Request files [{item['id']}] invalid")
    if item["required"] and not given and not uploaded:
        raise RefusalError(0, f"Request files [{item['id']}] required")


CATALOGUE = _load()
"""Every model by its name in lower case, in the order of ids."""
