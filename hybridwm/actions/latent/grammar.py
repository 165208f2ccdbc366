"""Short English instructions that a walker can carry out, made from a grammar: phrase, motion, number of steps."""

from __future__ import annotations

import functools
import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..walker import ACTIONS

Kind = Literal["motion", "place", "other"]
KINDS: tuple[Kind, ...] = ("motion", "place", "other")

# (motions, phrases, steps of a key's size for a little, plain, a lot); {} is the direction, [] may be left out
TURN_STEPS, WALK_STEPS, LOOK_STEPS = (1, 3, 6), (1, 4, 8), (1, 2, 3)  # 15, 45, 90 degrees; 0.25, 1, 2 m; 15, 30, 45
TURNS = ("turn {}", "turn to the {}", "turn to your {}", "rotate {}", "rotate to the {}", "spin {}", "pivot {}",
         "face {}", "look {}", "look to the {}", "make a {} turn", "swing {}", "veer {}", "steer {}", "turn {}wards",
         "take a {} turn", "yaw {}", "twist {}",
         "turn your head {}", "turn your head to the {}", "go around to the {}")  # fmt: skip
SIDEWAYS = ("strafe {}", "sidestep {}", "step {}", "step to the {}", "slide {}", "move {}", "move to the {}",
            "move sideways to the {}", "shift {}", "shift to the {}", "go sideways to the {}", "step sideways {}",
            "walk sideways to the {}", "scoot {}", "crab {}", "walk {} without turning")  # fmt: skip
PHRASES: dict[str, tuple[tuple[str, ...], tuple[int, int, int]]] = {
    "forward": (
        tuple(f"{verb} {way}" for verb in ("go", "move", "walk", "drive", "step", "run", "advance", "head", "proceed")
              for way in ("forward", "forwards", "ahead", "straight", "straight ahead", "straight on", "on"))
        + ("advance", "keep going", "continue", "go on", "forward", "ahead",
           "take a few steps forward", "take some steps ahead"),
        WALK_STEPS),
    "back": (
        tuple(f"{verb} {way}" for verb in ("go", "move", "walk", "drive", "step")
              for way in ("back", "backward", "backwards", "in reverse"))
        + ("reverse", "back up", "back off", "retreat", "backwards", "move away"),
        WALK_STEPS),
    "left": (tuple(p.format("left") for p in TURNS) + ("turn anticlockwise", "rotate counterclockwise"), TURN_STEPS),
    "right": (tuple(p.format("right") for p in TURNS) + ("turn clockwise", "rotate clockwise"), TURN_STEPS),
    "strafe_left": (tuple(p.format("left") for p in SIDEWAYS), WALK_STEPS),
    "strafe_right": (tuple(p.format("right") for p in SIDEWAYS), WALK_STEPS),
    "look_up": (
        ("look up", "look upwards", "tilt up", "gaze up", "pitch up", "raise your head", "raise your gaze",
         "lift your head", "look at the ceiling", "tilt your head up", "look higher", "lift your eyes"),
        LOOK_STEPS),
    "look_down": (
        ("look down", "look downwards", "tilt down", "gaze down", "pitch down", "lower your head", "lower your gaze",
         "look at the floor", "tilt your head down", "look lower", "look at the ground", "lower your eyes"),
        LOOK_STEPS),
    "turn_around": (("turn around", "turn round", "turn back", "face the other way", "make a u turn", "do a half turn",
                     "about turn", "look behind you"), (12, 12, 12)),
    "stay": (("stay", "stop", "wait", "stand still", "hold still", "stay here", "do nothing", "pause", "remain here",
              "halt", "wait here", "freeze", "do not move", "dont move", "stay where you are"), (1, 1, 1)),
}  # fmt: skip
COUNTS = tuple(sorted({count for _, steps in PHRASES.values() for count in steps}))
MOTIONS: dict[str, tuple[float, float, float, float]] = ACTIONS | {"turn_around": ACTIONS["left"]}
"""Motion → the walker's action of one step."""

LITTLE = ("a little", "a bit", "slightly", "a little bit", "a touch", "one step", "a tad", "gently", "just a little")
LOT = ("a lot", "far", "sharply", "hard", "much", "a long way", "by a lot", "quite a lot", "very far")
POLITE = ("", "please", "now", "can you", "you should", "just", "then", "could you please", "quickly", "slowly")
PLACES = tuple(
    f"{verb} the {colour}{thing}"
    for verb in ("go to", "walk to", "find", "move towards", "head for", "approach", "turn to", "walk up to")
    for colour in ("red ", "green ", "blue ", "yellow ", "white ", "")
    for thing in ("door", "table", "chair", "ball", "box", "kitchen", "window", "lamp", "wall", "corner", "sofa")
)
OTHERS = tuple(
    f"{verb} {thing}"
    for verb in ("make", "tell me about", "sing", "what is", "open", "pick up", "how many are", "paint", "buy",
                 "explain", "who made", "write", "cook", "clean", "jump over", "throw", "describe", "why is", "play")
    for thing in ("some coffee", "a song", "the weather", "the cup", "a story", "a cat", "the answer", "your name",
                  "tea", "seven apples", "the book", "my homework", "it", "music", "the sky", "people", "a moon")
)  # fmt: skip
OTHERS += ("go up", "go down", "jump", "fly", "fly up", "climb up", "sit down", "lie down", "hello", "yes", "no",
           "what")  # fmt: skip
HELD_SHARE = 5  # one of so many phrases is held out


@dataclass(frozen=True)
class Phrase:
    """words, and what they ask for; motion and steps of motions only."""

    words: str
    kind: Kind
    motion: str = "stay"
    steps: int = 1

    @property
    def held_out(self) -> bool:
        """Whether training never sees it. Told by the words alone, so that it is the same everywhere."""
        return zlib.crc32(self.words.encode()) % HELD_SHARE == 0


def phrases() -> list[Phrase]:
    """All that the grammar makes, each once. Plain core phrases (`turn left a little`) may be held out as well."""
    made: dict[str, Phrase] = {}
    for phrase in itertools.chain(_motions(), _places(), _others()):
        made.setdefault(phrase.words, phrase)
    return list(made.values())


def _motions() -> Iterator[Phrase]:
    for motion, (ways, steps) in PHRASES.items():
        for way in ways:
            degrees = [("", steps[1]), *((word, steps[0]) for word in LITTLE), *((word, steps[2]) for word in LOT)]
            if len(set(steps)) == 1:
                degrees = degrees[:1]
            for degree, count in degrees:
                for polite in POLITE:
                    yield Phrase(" ".join(f"{polite} {way} {degree}".split()), "motion", motion, count)
                if degree:
                    yield Phrase(f"{degree} {way}", "motion", motion, count)


def _places() -> Iterator[Phrase]:
    for place in PLACES:
        for polite in ("", "please", "now"):
            yield Phrase(f"{polite} {place}".strip(), "place")


def _others() -> Iterator[Phrase]:
    for other in OTHERS:
        for polite in ("", "please", "can you"):
            yield Phrase(f"{polite} {other}".strip(), "other")
    for ways, _ in PHRASES.values():  # what is not to be done
        for way in ways:
            for never in ("do not", "dont", "never", "please do not"):
                yield Phrase(f"{never} {way}", "other")


@functools.cache
def vocabulary() -> frozenset[str]:
    """Every word of the grammar."""
    return frozenset(word for phrase in phrases() for word in phrase.words.split())
