"""Configuration files: which keys there are, and reading them so that nothing wrong is passed over.

A file is TOML. What may stand in it is declared in a table of ``Key``; every other key is refused with its line and the
key that was probably meant. Names are taken in any case, as DVID does. Environment variables are read here and nowhere
else.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from dvidkit.deferred import deferred
from dvidkit.errors import BadConfig, shown

if TYPE_CHECKING:
    import difflib
else:
    difflib = deferred("difflib")

Kind = Literal["text", "texts", "flag", "number", "seconds", "path", "table", "choice"]

ANY: Final = "*"
"""The last part of a section's name where that is the user's, and the key where any may stand."""

_HEADER: Final = re.compile(r"\s*\[\[?([^\]]+)\]\]?\s*(#.*)?")
_ENTRY: Final = re.compile(r"""\s*([\w."'\- ]+?)\s*=""")
_VALUE: Final = r'"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|\[[^\]]*\]|[^\s,#}\]]+'
_SECRET: Final = re.compile(
    rf"(?i)([\w.\-]*(?:password|secret|token|credential|username)[\w.\-]*(?<!file)(?<!path)[\"']?\s*=\s*)({_VALUE})"
)
_USERINFO: Final = re.compile(r"(//[^/\s:@\"']+:)[^/\s@\"']+@")


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section.

    Attributes:
        section: dotted; ``store.*`` is any section below ``store``.
        name: as documentation writes it; ``*`` is any.
        kind: of its value. A ``path`` is relative to the file's directory; ``seconds`` may have a fraction.
        does: what dvidkit does with it, or for a key without effect, why it has none.
        applies: whether it has an effect.
        least: the smallest number.
        choices: the texts it may be.
    """

    section: str
    name: str
    kind: Kind
    does: str
    applies: bool = True
    least: int = 0
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration that was read and checked against a table.

    Attributes:
        path: of the file.
        text: the file's text.
        sections: by dotted name (parts as they stand in the file), keys under the table's names and checked values.
        idle: the keys found that have no effect: ``[section] name: why``.
    """

    path: str
    text: str
    sections: Mapping[str, Mapping[str, Any]]
    idle: tuple[str, ...]

    def get(self, section: str, name: str, default: Any = None) -> Any:
        """A value."""
        return self.sections.get(section, {}).get(name, default)

    def below(self, section: str) -> dict[str, Mapping[str, Any]]:
        """The sections below one, by the last part of their names."""
        head = f"{section}."
        return {name.removeprefix(head): keys for name, keys in self.sections.items() if name.startswith(head)}

    def fault(self, what: str, section: str, name: str = "") -> BadConfig:
        """The error for something wrong in a section, with its place."""
        return BadConfig(f"{place(self.path, self.text, section, name)}: {what}", setting=_dotted(section, name))

    def masked(self) -> str:
        """The text without secrets."""
        return masked(self.text)


def read(path: str, table: tuple[Key, ...]) -> Document:
    """Read a file.

    Raises:
        BadConfig: not TOML, a key that is not in the table, or a value that cannot be.
        OSError: the file cannot be read.
    """
    try:
        text = Path(path).read_text("utf-8")
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path}: {error}", setting=path) from error
    return _Reader(path, text, table).read(document)


class _Reader:
    """Walks over one file."""

    def __init__(self, path: str, text: str, table: tuple[Key, ...]) -> None:
        self._path = path
        self._text = text
        self._keys: dict[str, dict[str, Key]] = {}
        for key in table:
            self._keys.setdefault(key.section, {})[key.name.lower()] = key
        self._sections: dict[str, dict[str, Any]] = {}
        self._idle: list[str] = []

    def read(self, document: dict[str, Any]) -> Document:
        for name, value in document.items():
            self._section((), name, value)
        return Document(self._path, self._text, self._sections, tuple(self._idle))

    def _section(self, above: tuple[str, ...], name: str, value: Any) -> None:
        declared = self._declared(above, name)
        dotted = ".".join((*above, name))
        if declared is None or not isinstance(value, dict):
            known = sorted({section.split(".")[len(above)] for section in self._keys if _under(section, above)})
            raise self._unknown("section" if isinstance(value, dict) else "key", above, name, known)
        keys = self._keys.get(declared, {})
        dotted = dotted if declared.endswith(ANY) else declared
        found = self._sections.setdefault(dotted, {}) if keys else {}
        for entry, each in value.items():
            key = keys.get(entry.lower()) or keys.get(ANY)
            if key is not None:
                found[entry if key.name == ANY else key.name] = self._value(key, dotted, entry, each)
            elif isinstance(each, dict):
                self._section((*declared.split("."),), entry, each)
            else:
                raise self._unknown("key", tuple(dotted.split(".")), entry, [key.name for key in keys.values()])

    def _declared(self, above: tuple[str, ...], name: str) -> str | None:
        """The name under which the table has this section, or sections below it."""
        for section in self._keys:
            parts = section.split(".")
            if _under(section, above) and parts[len(above)] in (name.lower(), ANY):
                return ".".join(parts[: len(above) + 1])
        return None

    def _unknown(self, what: str, above: tuple[str, ...], name: str, known: list[str]) -> BadConfig:
        section = ".".join(above)
        near = difflib.get_close_matches(name.lower(), [each.lower() for each in known], n=1, cutoff=0.6)
        meant = next((each for each in known if near and each.lower() == near[0]), "")
        hint = f"did you mean {meant!r}?" if meant else f"known are {', '.join(each for each in known if each != ANY)}"
        where = f" in [{section}]" if section else ""
        return BadConfig(
            f"{place(self._path, self._text, section, name)}: unknown {what} {name!r}{where}; {hint}",
            setting=_dotted(section, name),
        )

    def _value(self, key: Key, section: str, entry: str, value: Any) -> Any:
        problem = _PROBLEMS[key.kind](key, value)
        if problem:
            raise BadConfig(
                f"{place(self._path, self._text, section, entry)}: [{section}] {key.name} must be {problem}, not "
                f"{_shown(key, value)}",
                setting=_dotted(section, key.name),
            )
        if not key.applies:
            self._idle.append(f"[{section}] {entry}: {key.does}")
        if key.kind == "path" and value:
            return beside(self._path, value)
        return value


def beside(path: str, relative: str) -> str:
    """A path that is relative to the directory of a file."""
    return os.path.normpath(os.path.join(Path(path).absolute().parent, relative))


def _under(section: str, above: tuple[str, ...]) -> bool:
    parts = section.split(".")
    return len(parts) > len(above) and parts[: len(above)] == list(above)


def _dotted(section: str, name: str) -> str:
    return f"{section}.{name}" if section and name else section or name


def _shown(key: Key, value: Any) -> str:
    return "what it is" if _SECRET.match(f"{key.name}=x") else shown(value)


def _choice(key: Key, value: Any) -> str:
    return "" if value in key.choices else f"one of {', '.join(map(repr, key.choices))}"


def _number(key: Key, value: Any) -> str:
    good = type(value) is int and key.least <= value < 1 << 63
    return "" if good else f"a whole number of {key.least} or more"


def _seconds(key: Key, value: Any) -> str:
    good = type(value) in (int, float) and key.least <= value < 1e9
    return "" if good else f"a number of seconds, {key.least} or more"


def _path(key: Key, value: Any) -> str:
    return "" if isinstance(value, str) and "\0" not in value else "a path"


_PROBLEMS: Final[Mapping[str, Callable[[Key, Any], str]]] = {
    "text": lambda key, value: "" if isinstance(value, str) else "a text",
    "texts": lambda key, value: (
        "" if isinstance(value, list) and all(isinstance(each, str) for each in value) else "a list of texts"
    ),
    "flag": lambda key, value: "" if isinstance(value, bool) else "true or false",
    "number": _number,
    "seconds": _seconds,
    "path": _path,
    "table": lambda key, value: "",
    "choice": _choice,
}


# --- places in a file ------------------------------------------------------------------------------------------------


def place(path: str, text: str, section: str, name: str = "") -> str:
    """``path:line`` of a key or section, or only the path if it is not found as it is commonly written."""
    wanted = [part.lower() for part in section.split(".") if part] + ([name.lower()] if name else [])
    for number, parts in _lines(text):
        if [part.lower() for part in parts][: len(wanted)] == wanted or ".".join(parts).lower() == ".".join(wanted):
            return f"{path}:{number}"
    return path


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """For each header and entry its line and full name."""
    header: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if found := _HEADER.fullmatch(line):
            header = _parts(f"[{found[1]}]")
            yield number, header
        elif found := _ENTRY.match(line):
            yield number, header + _parts(f"{found[1]} = 0")


def _parts(line: str) -> list[str]:
    """The parts of a dotted name, as TOML reads them."""
    parts: list[str] = []
    try:
        inner: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return parts
    while isinstance(inner, dict) and inner:
        name, inner = next(iter(inner.items()))
        parts.append(name)
    return parts


def masked(text: str) -> str:
    """A configuration's text with every value that is secret by its name, and every password in a URL, as ``***``."""
    return _USERINFO.sub(r"\1***@", _SECRET.sub(r'\1"***"', text))


# --- documentation ---------------------------------------------------------------------------------------------------


def as_markdown(table: tuple[Key, ...]) -> str:
    """The table for documentation."""
    lines = ["| key | value | what dvidkit does with it |", "|---|---|---|"]
    for key in table:
        value = " or ".join(f"`{choice}`" for choice in key.choices if choice) or key.kind
        name = f"`[{key.section}]` " + ("any" if key.name == ANY else f"`{key.name}`")
        lines.append(f"| {name} | {value} | {key.does if key.applies else f'*No effect:* {key.does}'} |")
    return "\n".join(lines) + "\n"


# --- the environment -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Environment:
    """What is taken from environment variables.

    Attributes:
        admin_token: ``DVIDKIT_ADMIN_TOKEN``, or DVID's ``DVID_ADMIN_TOKEN``.
        jwt_secret: ``DVIDKIT_JWT_SECRET``, or DVID's ``DVID_JWT_SECRET_KEY``.
        store: ``DVIDKIT_STORE``, the directory of the store that commands work on, or the URL of a running server.
        token: ``DVIDKIT_TOKEN``, a user's, which commands show to a running server.
    """

    admin_token: str = ""
    jwt_secret: str = ""
    store: str = ""
    token: str = ""

    @classmethod
    def of(cls, variables: Mapping[str, str] = os.environ) -> Environment:
        """Read it."""
        return cls(
            variables.get("DVIDKIT_ADMIN_TOKEN") or variables.get("DVID_ADMIN_TOKEN", ""),
            variables.get("DVIDKIT_JWT_SECRET") or variables.get("DVID_JWT_SECRET_KEY", ""),
            variables.get("DVIDKIT_STORE", ""),
            variables.get("DVIDKIT_TOKEN", ""),
        )
