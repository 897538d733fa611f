"""TOML files that people write, checked against a model; what is wrong is told by file, field and remedy."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgpack
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from parties.errors import Fault

__all__ = ["Document", "Name", "check_name", "digest", "load"]

_MAX_FILE = 4 << 20


def check_name(text: str) -> str:
    """The text, if it is a name. Raises ValueError."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", text):
        raise ValueError("must be a name: a lower-case letter, then at most 31 of a-z, 0-9, _ and -")
    return text


Name = Annotated[str, AfterValidator(check_name)]
"""What parties, dealers and analysts are called."""


class Document(BaseModel):
    """A part of a file: immutable, of exactly the declared fields and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


D = TypeVar("D", bound=Document)

_SAYS = {
    "missing": "is missing",
    "extra_forbidden": "is unknown",
    "string_type": "must be text in quotes",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
}


def load(model: type[D], path: Path, topic: str, remedy: str, **context: object) -> D:
    """The file at `path` as a `model`; `context` goes to the model's validators.

    Raises Fault <topic>_MISSING, with the given remedy, or <topic>_INVALID, naming file and fields.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE + 1)
        if len(text) > _MAX_FILE:
            raise Fault(f"{topic}_INVALID", f"{path} is longer than {_MAX_FILE} bytes.", "Is this the right file?")
        content = tomllib.loads(text.decode())
    except OSError as error:
        raise Fault(f"{topic}_MISSING", f"{path} cannot be read ({error.strerror}).", remedy) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Fault(f"{topic}_INVALID", f"{path} is not TOML: {error}.", "Correct the file there.") from None
    try:
        return model.model_validate(content, context=context)
    except ValidationError as error:
        problems = [_problem(problem["loc"], problem["type"], problem["msg"]) for problem in error.errors()]
        raise Fault(
            f"{topic}_INVALID", f"{path}: {'; '.join(problems[:5])}.", "Correct these fields of the file."
        ) from None


def digest(document: Document | Mapping[str, object]) -> bytes:
    """SHA-256 over the content: neither comments nor the order of a table's fields matter."""
    content = document.model_dump(mode="python") if isinstance(document, Document) else document
    return hashlib.sha256(msgpack.packb(_sorted(content))).digest()


def _sorted(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _sorted(content[key]) for key in sorted(content)}
    return [_sorted(item) for item in content] if isinstance(content, list | tuple) else content


def _problem(location: tuple[int | str, ...], kind: str, message: str) -> str:
    field = ""
    for part in location:
        field += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if field else part
    said = _SAYS.get(kind) or message.removeprefix("Value error, ")
    return f"{field} {said}" if field else said
