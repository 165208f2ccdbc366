"""Words: clauses are divided, refused where they are no motion, and come to the same actions as keys."""

import pytest
import torch

from hybridwm.actions.keyboard import typed_actions
from hybridwm.actions.latent.bodies import BodyMap
from hybridwm.actions.latent.grammar import COUNTS, KINDS, MOTIONS, phrases, vocabulary
from hybridwm.actions.latent.instructions import divided, is_instruction, unknown
from hybridwm.actions.latent.space import load_latent_actions
from hybridwm.actions.latent.words import OwnEmbedding, normal, pieces
from hybridwm.actions.twist import DriveBody
from hybridwm.actions.walker import TURN, Walker
from hybridwm.training.latent_actions.words import train_words


@pytest.fixture(scope="module")
def space():
    return load_latent_actions()


def held_out(kind):
    found = [phrase for phrase in phrases() if phrase.held_out and phrase.kind == kind]
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(0))[:200]
    return [found[i] for i in order.tolist()]


def test_the_grammar_says_each_phrase_once_and_holds_some_out():
    made = phrases()
    assert len({phrase.words for phrase in made}) == len(made) > 30_000
    held = sum(phrase.held_out for phrase in made) / len(made)
    assert 0.15 < held < 0.25
    assert {phrase.motion for phrase in made} == set(MOTIONS) and {phrase.kind for phrase in made} == set(KINDS)
    assert "left" in vocabulary() and 12 in COUNTS


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("turn left a little; go forward", ["turn left a little", "go forward"]),
        ("Go forward, then look up and stop.", ["go forward", "look up", "stop"]),
        (" ;; ", []),
        ("stand still", ["stand still"]),
    ],
)
def test_clauses_are_divided(text, clauses):
    assert divided(text) == clauses


@pytest.mark.parametrize(
    ("text", "words"),
    [("w-8, j-4", False), ("jw-4", False), ("turn left", True), ("stop;", True), ("w-4, turn left", True)],
)
def test_keys_are_not_taken_for_words(text, words):
    assert is_instruction(text) is words


def test_pieces_are_the_same_everywhere_and_forgive_case_and_slips():
    assert pieces("Turn LEFT!") == pieces("turn left") and normal("don't  Stop.") == "dont stop"
    assert len(set(pieces("turn left")) & set(pieces("turn leftt"))) > len(pieces("turn left")) / 2
    assert unknown("turn leftt now") == [] and unknown("scoot the xyzzy") == ["xyzzy"]
    assert OwnEmbedding()(["", "turn left"]).shape == (2, OwnEmbedding.width)


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("turn left a little", "j-1"),
        ("turn right slightly", "l-1"),
        ("go forward", "w-4"),
        ("walk backwards a little", "s-1"),
        ("look up a bit", "i-1"),
        ("look down", "k-2"),
        ("step to the left", "a-4"),
        ("please turn right a lot", "l-6"),
        ("turn around", "j-12"),
        ("turn left a little; go forward", "j-1,w-4"),
    ],
)
def test_words_come_to_what_the_keys_do(space, words, keys):
    assert torch.allclose(space.instruct(words), typed_actions(keys), atol=0.02)


def test_wheels_read_the_same_words_at_their_own_pace(space):
    turned = space.instruct("turn left a little", DriveBody(period=0.5))
    assert turned.shape == (1, 2)
    assert turned[0, 1] * 0.5 == pytest.approx(TURN, rel=0.15) and abs(float(turned[0, 0])) * 0.5 < 0.04


def test_held_out_phrases_are_understood_and_random_codes_are_not(space):
    asked = held_out("motion")
    meant = space.instructor.means([phrase.words for phrase in asked])
    true = torch.tensor([MOTIONS[phrase.motion] for phrase in asked])
    found = space.decode(Walker(), meant.codes)
    steps = torch.tensor([phrase.steps for phrase in asked])
    right = ((found - true).norm(dim=1) < 0.03) & (meant.steps == steps)
    assert right.float().mean() > 0.93
    assert ((found.roll(1, 0) - true).norm(dim=1) < 0.03).float().mean() < 0.3


@pytest.mark.parametrize("kind", ["place", "other"])
def test_what_is_no_motion_is_told_apart(space, kind):
    meant = space.instructor.means([phrase.words for phrase in held_out(kind)])
    assert (meant.kinds.argmax(1) == KINDS.index(kind)).float().mean() > 0.93


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("go to the red door", "got a place to go to.*Steer towards a colour"),
        ("sing a song", "expected a motion of the body.*got something else"),
        ("do not turn left", "expected a motion of the body"),
        ("turn left 30 degrees", "expected a few words without numbers"),
        ("defenestrate the burglar", "got 'defenestrate', 'burglar'"),
        ("", "expected words such as"),
        ("turn left a little; go to the red door", "instruction 'go to the red door'"),
    ],
)
def test_what_is_refused_says_why(space, words, says):
    with pytest.raises(ValueError, match=says):
        space.instruct(words)


def test_training_is_a_function_of_its_seed_and_beats_chance():
    mixing = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    walker = BodyMap(mixing, torch.linalg.pinv(mixing))
    first, again = (train_words(walker, 5, 300, 0) for _ in range(2))
    asked = held_out("motion")
    told = first.means([phrase.words for phrase in asked])
    assert torch.equal(told.codes, again.means([phrase.words for phrase in asked]).codes)
    true = torch.tensor([MOTIONS[phrase.motion] for phrase in asked])
    assert ((walker.decode(told.codes) - true).norm(dim=1) < 0.08).float().mean() > 0.6
