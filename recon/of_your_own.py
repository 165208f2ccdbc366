"""What a user names as module:attribute, in YAML or on the command line: their own depth source, memory or body."""

from __future__ import annotations

import importlib
from typing import Any


def import_named(name: str, kind: str) -> Any:
    """The attribute of a module that Python can import (an installed one, or a file in a folder of PYTHONPATH).

    kind begins the error. Raises ValueError where there is no such module or attribute.
    """
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{kind}: expected module:name that Python can import; got {name!r} ({error}). Put the file's folder on "
            "PYTHONPATH, or install it."
        ) from None
