"""Which errors are the input's fault, and how they read on one line."""

import re
import traceback
from pathlib import Path

OURS = tuple(Path(__file__).resolve().parents[2] / name for name in ("hybridwm", "recon", "render"))


def is_expected(error: Exception) -> bool:
    """Whether `error` says that an input, a file or an installation is at fault, rather than that there is a bug."""
    if isinstance(error, (ValueError, OSError, ImportError)):
        return True
    # Python raises TypeErrors of its own where the fault is in the code; ours are raised by a statement.
    return isinstance(error, (TypeError, FloatingPointError)) and _raised_here(error, by_statement=True)


def one_line(error: Exception) -> str:
    """The message on one line; an error from another library is named and says how to see where it arose."""
    if isinstance(error, OSError) and error.filename is not None:
        named = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
        return f"{named}: {error.strerror or type(error).__name__}"
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) or _raised_here(error):
        return text
    return f"{type(error).__name__}: {text} (--traceback shows where)"


def unboxed(text: str) -> str:
    """What a command line parser drew as a box of several lines, on one: the error, and its suggestion if any."""
    sections: list[list[str]] = [[]]
    for line in text.splitlines():
        content = line.strip("│╭╮╰╯ ")
        if not content.strip("─"):
            sections.append([])
        elif not line.startswith("╭"):  # the title repeats the error
            sections[-1].append(content)
    kept = [part for part in sections if part]
    hints = [part[:2] for part in kept[1:] if part[0].startswith("Perhaps you meant")]
    words = "; ".join(" ".join(part).rstrip(".") for part in [*kept[:1], *hints])
    return re.sub(r"^Error parsing Options: ", "", " ".join(words.split())) or text.strip()


def _raised_here(error: Exception, by_statement: bool = False) -> bool:
    """Whether the innermost frame of the traceback lies in one of the three packages (at a `raise`)."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return False
    file = Path(frames[-1].filename).resolve()
    stated = not by_statement or (frames[-1].line or "").startswith("raise ")
    return stated and any(file.is_relative_to(folder) for folder in OURS)
