"""The command `hybridwm`: one file for each subcommand, a frozen dataclass of options above the function that runs it.

Only the chosen command's module is imported, and that module imports torch inside `run` only.
"""

import contextlib
import dataclasses
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from .. import __version__
from .errors import is_expected, one_line, unboxed

# Command: what it does. The module of the same name here, with underscores, holds `Options` and `run(options)`.
COMMANDS = {
    "demo": "imagine the same walks with and without 3D memory, and report what the memory is worth",
    "collect": "play episodes in rooms, Doom or with a robot arm, and keep them as a LeRobot dataset",
    "convert": "turn recorded folders, or any LeRobot dataset, into a dataset of one size",
    "train": "train a world model from a YAML file",
    "train-depth": "train a network that depth is measured with, from a YAML file",
    "train-latent-actions": "train one space of actions for keys, velocities and words, from a YAML file",
    "rollout": "imagine a walk from typed actions; write video and scene",
    "reconstruct": "turn a stereo pair or a recorded sequence into a splat scene",
    "render": "film a splat scene along a camera path",
    "study": "compare memories and depth sources over trajectories and scenes: is depth needed?",
    "bench": "measure this machine: rasterizers, reconstruction on recorded data, or the video core",
    "doctor": "say what is installed, which backends work, and what to install for the rest",
}

# Commands of several subjects, each in a module of its own: bench_render, bench_core, bench_recon.
SUBJECTS = {
    "bench": {
        "render": "the rasterizers of this machine side by side",
        "core": "the video core: speed, drift, noise levels, few solver steps",
        "recon": "reconstruction, beside OpenCV, Open3D and COLMAP, on recorded data",
    }
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Returns 0, or 2 with one line on stderr where the input was at fault, or 130 on Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    traceback = "--traceback" in given or bool(os.environ.get("HYBRIDWM_TRACEBACK"))
    given = [argument for argument in given if argument != "--traceback"]
    if not given or given[0] in ("-h", "--help"):
        print(usage())
        return 0 if given else 2
    if given[0] in ("-V", "--version"):
        print(f"hybridwm {__version__}")
        return 0
    name = given[0]
    if name not in COMMANDS:
        print(
            f"hybridwm: expected one of {', '.join(COMMANDS)}; got '{name}'. hybridwm --help says what each does.",
            file=sys.stderr,
        )
        return 2
    subjects, rest = SUBJECTS.get(name), given[1:]
    if subjects is not None:
        if rest and rest[0] in ("-h", "--help"):
            print(_subjects(name, subjects))
            return 0
        if not rest or rest[0] not in subjects:
            got = f"'{rest[0]}'" if rest else "nothing"
            print(f"hybridwm {name}: expected one of {', '.join(subjects)}; got {got}.", file=sys.stderr)
            return 2
        name, rest = f"{name} {rest[0]}", rest[1:]
    try:
        module = import_module(f".{name.replace(' ', '_').replace('-', '_')}", __name__)
        module.run(parse(module.Options, rest, f"hybridwm {name}"))
    except KeyboardInterrupt:
        print(f"hybridwm {name}: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as head, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except Exception as error:
        if traceback or not is_expected(error):
            raise
        print(f"hybridwm {name}: {one_line(error)}", file=sys.stderr)
        return 2
    return 0


def usage() -> str:
    """The text of `hybridwm --help`."""
    rows = "\n".join(f"  {name:<12} {text}" for name, text in COMMANDS.items())
    return (
        "usage: hybridwm COMMAND [options]\n\n"
        "A video world model that remembers in 3D.\n\n"
        f"{rows}\n\n"
        "hybridwm COMMAND --help lists a command's options. --version, --help; --traceback shows where an error arose."
    )


def _subjects(name: str, subjects: dict[str, str]) -> str:
    rows = "\n".join(f"  {subject:<12} {text}" for subject, text in subjects.items())
    return f"usage: hybridwm {name} SUBJECT [options]\n\n{rows}\n\nhybridwm {name} SUBJECT --help lists the options."


def parse(kind: type[Any], arguments: Sequence[str], program: str) -> Any:
    """The options of a command: the dataclass's defaults, over them its YAML file, over that the command line."""
    import tyro

    def read(default: Any = None) -> Any:
        given = {} if default is None else {"default": default}
        printed = io.StringIO()
        try:
            with contextlib.redirect_stderr(printed):
                return tyro.cli(kind, args=arguments, prog=program, **given)
        except SystemExit as end:
            if not end.code:
                raise
            raise ValueError(f"{unboxed(printed.getvalue())}; {program} --help lists the options") from None

    options = read()
    file = getattr(options, "config", None)
    if file is None:
        return options
    return read(dataclasses.replace(options.from_file(file), config=file))
