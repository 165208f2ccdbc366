import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridwm.actions import ACTIONS
from hybridwm.actions.keyboard import KEYS, parse_actions, typed_actions


def test_keys_with_counts():
    assert parse_actions("w-2,jw-1,d") == [
        ("forward",),
        ("forward",),
        ("left", "forward"),
        ("strafe_right",),
    ]


def test_names_and_lists():
    assert parse_actions("forward, look_up-2") == [("forward",), ("look_up",), ("look_up",)]
    assert parse_actions(["stay", "W-1"]) == [("stay",), ("forward",)]


def test_keys_of_one_step_add_up():
    walk = typed_actions("jw,stay,k")
    assert walk.shape == (3, 4)
    assert walk[0].tolist() == pytest.approx([0.25, 0, 0.2617994, 0])
    assert walk[1].tolist() == [0, 0, 0, 0]
    assert walk[2, 3] < 0


def test_every_key_is_an_action():
    assert set(KEYS.values()) <= set(ACTIONS)


@given(st.lists(st.tuples(st.sampled_from([*KEYS, *ACTIONS]), st.integers(1, 50)), min_size=1, max_size=8))
def test_the_number_of_steps_is_the_sum_of_counts(walk):
    steps = parse_actions(",".join(f"{word}-{count}" for word, count in walk))
    assert len(steps) == sum(count for _, count in walk)
    assert {name for step in steps for name in step} <= set(ACTIONS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got ''"),
        ("w-0", "count of at least 1"),
        ("w--3", "got 'w--3'"),
        ("w-x", "count of at least 1"),
        ("w-²", "count of at least 1"),
        ("ws-3", "opposite keys in one step; 'ws-3' has forward and back"),
        ("ww-3", "each at most once"),
        ("q-3", "got 'q-3'"),
        ("forwards", "got 'forwards'"),
        ("w-2,,a", "got ''"),
        ("w-999999999999", "count of at least 1"),
        ("w-99999,w-99999", "at most 100000 steps"),
    ],
)
def test_errors_name_the_item(text, message):
    with pytest.raises(ValueError, match=message):
        parse_actions(text)
