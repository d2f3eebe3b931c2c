"""Job file text to nodes that know their place; YAML's own surprises end here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

import yaml

from orchestrator.sweep.problems import Mark, Problems, Source, did_you_mean, looks_secret, shorten
from orchestrator.sweep.scalars import Meaning, SurpriseError, meaning

DEEPEST = 20
"""How many lists and mappings may stand within each other."""
MOST_ALIASED = 100_000
"""How many nodes all aliases of a file together may stand for."""

IN_USE = "The value holds a credential that is in use."
CREDENTIALS_HINT = "Credentials come from the environment or a .env file: WIRO_API_KEY and WIRO_API_SECRET."

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_BARE_BRACE = re.compile(r"(?:^|-\s+|:\s+|,\s*|\[\s*)\{[\w.-]+\}")
_NO_SPACE = re.compile(r"([\w-]+):(?!//)\S.*")
_EQUALS = re.compile(r"( *[\w-]+) *=.*")
_FIRST_WORD = re.compile(r" +[\w.-]+")
_INDENTED_BY_TAB = re.compile(r"^ *\t")


_CAUSES = (
    (("mapping values are not allowed",), 'A text with a colon must stand in quotes: "a boat: red".'),
    (("escape",), "In double quotes a backslash begins an escape: write two of them, or use single quotes."),
    (("end of stream", "end of file"), "A quote or a bracket is opened and not closed."),
    (("cannot start any token", "anchor", "alias", "tag"), "Put the text in quotes."),
)


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """One word or text; `quoted` texts mean themselves, others what `scalars.meaning` says.

    What a `refused` one holds must not be used, and why is noted already.
    """

    mark: Mark
    text: str
    quoted: bool
    refused: bool = False

    @property
    def meaning(self) -> Meaning:
        """What it stands for.

        Raises:
            SurpriseError: YAML readers disagree on it.
        """
        return self.text if self.quoted else meaning(self.text)


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list."""

    mark: Mark
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapNode:
    """A mapping; the keys are texts, `keys` tells where each of them stands."""

    mark: Mark
    entries: dict[str, Node]
    keys: dict[str, Mark]
    flow: bool = False


Node: TypeAlias = ScalarNode | ListNode | MapNode


class _SyntaxFoundError(Exception):
    """Nothing after this place can be read."""


def parse(source: Source, problems: Problems) -> Node | None:
    """Read YAML text.

    Args:
        source: The text, and the name that errors give it.
        problems: Takes everything that is wrong with it.

    Returns:
        The root, or None where the text cannot be read at all.
    """
    unwanted = _UNWANTED.search(source.text, 1 if source.text.startswith("\ufeff") else 0)
    if unwanted:
        before = Source(source.name, source.text[: unwanted.start()]).lines
        mark = Mark(source, len(before), len(before[-1]) + 1)
        code = f"U+{ord(unwanted.group()):04X}"
        problems.add(mark, f"The character {code} cannot stand in such a file.", "Delete it.", show=False)
        return None
    try:
        return _Composer(source, problems).root()
    except yaml.MarkedYAMLError as error:
        _explain(error, source, problems)
    except _SyntaxFoundError:
        pass
    except (yaml.YAMLError, ValueError) as error:  # the scanner trips over some escapes and directives
        problems.add(Mark(source, 1, 1), f"This is not YAML: {shorten(str(error), 200)}.")
    return None


@dataclass(slots=True)
class _Composer:
    """Builds nodes from the parser's events, which keeps depth and aliases in hand."""

    source: Source
    problems: Problems
    _events: Iterator[yaml.Event] = field(init=False)
    _anchors: dict[str, tuple[Node, int]] = field(default_factory=dict)
    _open_anchors: set[str] = field(default_factory=set)
    _nodes: int = 0
    _aliased: int = 0

    def __post_init__(self) -> None:
        self._events = iter(yaml.parse(self.source.text, Loader=_LOADER))

    def root(self) -> Node | None:
        while isinstance(event := next(self._events), (yaml.StreamStartEvent, yaml.DocumentStartEvent)):
            pass
        if isinstance(event, yaml.StreamEndEvent):
            self.problems.add(
                Mark(self.source, 0, 0), "The file is empty.", "A job file begins with `model: owner/model`."
            )
            return None
        root = self._node(event, "", 0)
        next(self._events)  # the end of the document
        after = next(self._events)
        if isinstance(after, yaml.DocumentStartEvent):
            self._fail(
                self._mark(after, ""), "A second document begins here.", "Such a file is one document: delete `---`."
            )
        return root

    def _node(self, event: yaml.Event, path: str, depth: int) -> Node:
        mark = self._mark(event, path)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, mark)
        if depth > DEEPEST:
            self._fail(
                mark,
                f"More than {DEEPEST} lists and mappings stand within each other.",
                "Quote texts that begin with [ or {.",
            )
        if not isinstance(event, (yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            self._fail(mark, "This is not YAML that can be read.", None)
        if event.tag is not None:
            self._tag(event.tag, mark)
        first = self._nodes
        self._nodes += 1
        anchor = event.anchor
        if anchor is not None:
            self._open_anchors.add(anchor)
        node = self._content(event, mark, path, depth)
        if anchor is not None:
            self._open_anchors.discard(anchor)
            self._anchors[anchor] = (node, self._nodes - first)
        return node

    def _content(self, event: yaml.Event, mark: Mark, path: str, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, mark)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(inner, f"{path}[{len(items)}]", depth + 1))
            return ListNode(mark, tuple(items))
        return self._mapping(mark, path, depth, flow=bool(getattr(event, "flow_style", False)))

    def _mapping(self, mark: Mark, path: str, depth: int, *, flow: bool) -> MapNode:
        node = MapNode(mark, {}, {}, flow)
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, path, depth + 1)
            if not isinstance(key, ScalarNode):
                hint = 'Put a text with braces in quotes: "{name}".'
                self.problems.add(key.mark, "A key must be a word, not a list or a mapping.", hint)
                self._node(next(self._events), path, depth + 1)
                continue
            self._check_secret_key(key)
            inner_path = f"{path}.{key.text}" if path else key.text
            value = self._node(next(self._events), inner_path, depth + 1)
            if flow and _lacks_space(key, value):
                name, _, rest = key.text.partition(":")
                hint = f"Write `{shorten(name)}: {shorten(rest)}`."
                self.problems.add(key.mark, "A space is missing after the colon.", hint)
            elif key.text == "<<" and not key.quoted:
                self.problems.add(key.mark, "Merge keys (`<<`) are not read.", "Write the keys out.")
            elif key.text in node.entries:
                first = node.keys[key.text]
                message = f"`{key.text}` stands here a second time; the first is in line {first.line}."
                self.problems.add(
                    Mark(self.source, key.mark.line, key.mark.column, inner_path), message, "Keep one of them."
                )
            else:
                node.entries[key.text] = value
                node.keys[key.text] = Mark(self.source, key.mark.line, key.mark.column, inner_path)
        return node

    def _check_secret_key(self, key: ScalarNode) -> None:
        if self.problems.has_secret(key.text):
            self.problems.add(key.mark, "A credential stands in the file.", CREDENTIALS_HINT, show=False)

    def _scalar(self, event: yaml.ScalarEvent, mark: Mark) -> ScalarNode:
        text: str = event.value
        if self.problems.has_secret(text):
            self.problems.add(mark, IN_USE, CREDENTIALS_HINT, show=False)
            return ScalarNode(mark, "", quoted=True, refused=True)
        unwanted = _UNWANTED.search(text)
        if unwanted:
            message = f"The text holds the character U+{ord(unwanted.group()):04X}, which cannot be sent."
            self.problems.add(mark, message, "Delete it.")
            text = _UNWANTED.sub("", text)
        return ScalarNode(mark, text, quoted=event.style in ("'", '"', "|", ">"))

    def _alias(self, event: yaml.AliasEvent, mark: Mark) -> Node:
        name = event.anchor or ""
        if name not in self._anchors:
            message = f"`*{name}` refers to an anchor `&{name}` that does not stand above it."
            if name in self._open_anchors:
                message = f"`*{name}` stands within its own anchor `&{name}`."
            hint = did_you_mean(name, self._anchors) or 'Put a text that begins with * in quotes: "* …".'
            self._fail(mark, message, hint)
        node, size = self._anchors[name]
        self._nodes += size
        self._aliased += size
        if self._aliased > MOST_ALIASED:
            self._fail(
                mark, f"The aliases of this file stand for more than {MOST_ALIASED} values.", "Write fewer `*aliases`."
            )
        return node

    def _tag(self, tag: str, mark: Mark) -> None:
        hint = 'Delete it; put a text that begins with ! in quotes: "! …", and a number meant as text too: "42".'
        self.problems.add(mark, f"Tags like `{shorten(tag, 40)}` are not read.", hint)

    def _mark(self, event: yaml.Event, path: str) -> Mark:
        start = event.start_mark
        return Mark(self.source, start.line + 1, start.column + 1, path) if start else Mark(self.source, 0, 0, path)

    def _fail(self, mark: Mark, message: str, hint: str | None) -> NoReturn:
        self.problems.add(mark, message, hint)
        raise _SyntaxFoundError


def unwanted(text: str) -> re.Match[str] | None:
    """Return the first character that can neither stand in a file nor be sent, or None."""
    return _UNWANTED.search(text)


def secret_key_problem(mark: Mark, key: str, problems: Problems) -> bool:
    """Note a key that is named like a credential, without its value; return whether it is one."""
    if not looks_secret(key):
        return False
    problems.add(
        mark,
        f"`{key}` looks like a credential, and credentials never stand in such a file.",
        CREDENTIALS_HINT,
        show=False,
    )
    return True


def read_meaning(node: ScalarNode, problems: Problems) -> Meaning | SurpriseError:
    """Return what a scalar means; a surprise is noted as a problem and returned."""
    try:
        return node.meaning
    except SurpriseError as surprise:
        hint = surprise.hint[:1].upper() + surprise.hint[1:]
        problems.add(node.mark, f"{surprise}.", hint)
        return surprise


def kind_of(node: Node) -> str:
    """Return in words what stands there, for messages."""
    if isinstance(node, ListNode):
        return "a list"
    if isinstance(node, MapNode):
        return "a mapping"
    return f"`{shorten(node.text)}`" if node.text or node.quoted else "nothing"


def _lacks_space(key: ScalarNode, value: Node) -> bool:
    """Return whether `{name:value}` stands there, which YAML takes for a name without a value."""
    empty = isinstance(value, ScalarNode) and not value.text and not value.quoted
    return empty and not key.quoted and _NO_SPACE.fullmatch(key.text) is not None


def _explain(error: yaml.MarkedYAMLError, source: Source, problems: Problems) -> None:
    """Turn what the YAML parser says into a sentence with the likely cause."""
    place = error.problem_mark or error.context_mark
    if error.problem and "end of stream" in error.problem:
        place = error.context_mark or place  # where the quote or the bracket is opened
    line, column = (place.line + 1, place.column + 1) if place else (1, 1)
    lines = source.lines
    context = error.context_mark.line + 1 if error.context_mark else line
    if line > len(lines) or not lines[line - 1].strip():  # the file ends before what is missing came
        line, column = context, len(lines[context - 1]) + 1 if context <= len(lines) else 1
    near = [lines[number - 1] for number in (line, context, line - 1) if 0 < number <= len(lines)]
    said = " ".join(filter(None, [error.context, error.problem])) or "no reason given"
    hint = _likely_cause(said, near)
    if "could not find expected ':'" in said and (named := _NO_SPACE.search(lines[context - 1])):
        line, column, hint = context, named.end(1) + 2, f"A space is missing after the colon: write `{named[1]}: …`."
    elif "could not find expected ':'" in said and (named := _EQUALS.fullmatch(lines[context - 1])):
        line, column, hint = context, named.end(1) + 2, f"Write `{named[1].strip()}: …`."
    if "mapping values are not allowed" in said and _FIRST_WORD.fullmatch(lines[line - 1][: column - 1]):
        hint = "Begin it in the same column as the key above: what is indented further belongs to that key's text."
    problems.add(Mark(source, line, column), f"This is not YAML: {said}.", hint)


def _likely_cause(said: str, near: list[str]) -> str:
    if any(_INDENTED_BY_TAB.search(line) for line in near):
        return "Indent with spaces: YAML does not take tabs."
    if any(_BARE_BRACE.search(line) for line in near):
        return 'A text that begins with a brace must stand in quotes: "{style} boat".'
    if "flow" in said and any(" #" in line for line in near):
        return 'A comment begins at ` #`: put a text that holds one in quotes: "a boat #1".'
    return next(
        (hint for words, hint in _CAUSES if any(word in said for word in words)),
        "Look at the indentation and the quotes of this line and of the one above.",
    )
