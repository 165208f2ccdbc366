"""Frozen dataclasses in and out of YAML: unknown keys are refused by name, values are checked."""

import dataclasses
import difflib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml

Config = TypeVar("Config")


def find_config(path: Path | str) -> Path:
    """The YAML file at `path`; failing that, the one of that name under the installed package's configs.

    Raises FileNotFoundError that lists the packaged files when there is neither.
    """
    path = Path(path)
    if path.is_file():
        return path
    inner = Path(*path.parts[1:]) if path.parts[:1] == ("configs",) else path
    package = Path(__file__).resolve().parent
    # The wheel carries configs/ inside the package; a checkout has it one level up.
    for root in (package / "configs", package.parent / "configs"):
        for candidate in (root / inner, root / inner.with_suffix(".yaml")):
            if not inner.is_absolute() and ".." not in inner.parts and candidate.is_file():
                return candidate
    known = sorted(
        "configs/" + file.relative_to(root).as_posix()
        for root in (package / "configs", package.parent / "configs")
        for file in root.rglob("*.yaml")
    )
    raise FileNotFoundError(
        f"expected a YAML file at {path}, found none; the packaged ones are {', '.join(known) or 'none'}"
    )


def load_yaml(path: Path | str, kind: type[Config], given: dict[str, Any] | None = None) -> Config:
    """Reads the YAML file `path` into the dataclass `kind`; `given` holds values of keys that it may leave out.

    Other keys that the file leaves out keep the dataclass's defaults. Raises ValueError, with the file, the key, what
    was expected and what was found, on unknown or missing keys and on values of another type.
    """
    content = read_yaml(path)
    if given is not None and isinstance(content, dict):
        content = {**to_mapping(given), **content}
    return from_mapping(content, kind, where=str(find_config(path)))


def read_yaml(path: Path | str) -> Any:
    """What the YAML file at `path` (see find_config) says; {} where it is empty. Raises ValueError for other text."""
    path = find_config(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected YAML, got {' '.join(str(error).split())}") from None
    return {} if content is None else content


def from_mapping(content: Any, kind: type[Config], where: str) -> Config:
    """Fills the dataclass `kind` from nested dicts; `where` begins every error message."""
    if not isinstance(content, dict):
        raise ValueError(f"{where}: expected 'key: value' lines for {kind.__name__}, got {_shown(content)}")
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}  # pyright: ignore[reportArgumentType]
    hints = typing.get_type_hints(kind)
    for key in content:
        if key not in fields:
            close = difflib.get_close_matches(str(key), fields, n=1, cutoff=0.5)
            hint = f"did you mean '{close[0]}'?" if close else f"it has {', '.join(fields)}"
            raise ValueError(f"{where}: {_called(kind)} has no key '{key}'; {hint}")
    values = {key: _convert(value, hints[key], f"{where}: {key}") for key, value in content.items()}
    missing = [
        name
        for name, field in fields.items()
        if name not in values
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ValueError(f"{where}: expected the key '{missing[0]}' of {kind.__name__}, got none; add it")
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: {error}") from None


def to_mapping(config: Any) -> Any:
    """The plain dicts, lists and scalars that `from_mapping` turns back into the same dataclass."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {field.name: to_mapping(getattr(config, field.name)) for field in dataclasses.fields(config)}
    if isinstance(config, dict):
        return {str(key): to_mapping(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [to_mapping(value) for value in config]
    if isinstance(config, Path):
        return config.as_posix()
    return config


def dump_yaml(config: Any) -> str:
    """The dataclass as YAML text, in the order of its fields."""
    return yaml.safe_dump(to_mapping(config), sort_keys=False, allow_unicode=True, width=100)


def _called(kind: type) -> str:
    """What a user calls the thing: a command's own options have no name but that."""
    return "this command" if kind.__name__ == "Options" else kind.__name__


def _convert(value: Any, hint: Any, where: str) -> Any:
    """`value`, as YAML gave it, as the annotated type `hint`; ValueError where it is not one."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _convert(value, arguments[0], where)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(value, arguments, where)
    if origin is typing.Literal:
        if not any(value == choice and type(value) is type(choice) for choice in arguments):
            choices = ", ".join(map(str, arguments))
            raise ValueError(f"{where}: expected one of {choices}, got {_shown(value)}")
        return value
    if origin in (list, tuple):
        return _convert_sequence(value, origin, arguments, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{where}: expected 'key: value' lines, got {_shown(value)}")
        return {
            _convert(key, arguments[0], where): _convert(item, arguments[1], f"{where}.{key}")
            for key, item in value.items()
        }
    if dataclasses.is_dataclass(hint):
        return from_mapping(value, typing.cast(type, hint), where)
    return _convert_scalar(value, hint, where)


def _convert_union(value: Any, choices: tuple[Any, ...], where: str) -> Any:
    if value is None and type(None) in choices:
        return None
    choices = tuple(choice for choice in choices if choice is not type(None))
    errors = []
    for choice in choices:
        try:
            return _convert(value, choice, where)
        except ValueError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    raise ValueError(f"{where}: expected {' or '.join(map(_named, choices))}, got {_shown(value)}")


def _convert_sequence(value: Any, origin: type, arguments: tuple[Any, ...], where: str) -> Any:
    if not isinstance(value, list):
        raise ValueError(f"{where}: expected a list, got {_shown(value)}")
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        if len(value) != len(arguments):
            raise ValueError(f"{where}: expected {len(arguments)} values, got {len(value)}")
        kinds = list(arguments)
    else:
        kinds = [arguments[0]] * len(value)
    pairs = enumerate(zip(value, kinds, strict=True))
    return origin(_convert(item, kind, f"{where}[{i}]") for i, (item, kind) in pairs)


def _convert_scalar(value: Any, hint: Any, where: str) -> Any:
    if hint is Any:
        return value
    if hint is float:
        if isinstance(value, str):  # YAML 1.1 reads 1e-4 as a string
            try:
                return float(value)
            except ValueError:
                pass
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    elif hint is Path and isinstance(value, str):
        return Path(value)
    elif isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise ValueError(f"{where}: expected {_named(hint)}, got {_shown(value)}")


def _named(hint: Any) -> str:
    words = {int: "an integer", float: "a number", str: "text", bool: "true or false", Path: "a path"}
    return words.get(hint, getattr(hint, "__name__", str(hint)))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
