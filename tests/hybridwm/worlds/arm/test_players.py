"""Scripted players: they lift, push and feel what they mean to; their episodes keep the contract."""

import numpy as np
import pytest
import torch

from hybridwm.worlds.arm.collection import play_episode
from hybridwm.worlds.arm.layout import COLOURS, make_table
from hybridwm.worlds.arm.players import Player
from hybridwm.worlds.arm.rig import ArmRig
from hybridwm.worlds.arm.simulation import ArmSimulation
from hybridwm.worlds.episodes import load_episode, save_episode


@pytest.fixture(scope="module")
def simulation():
    return ArmSimulation(ArmRig(16))


def act_out(simulation, seed, only, weak=False):
    """One task: how far the thing was lifted and moved (metres), touch [T, 4], heights [T]."""
    simulation.begin(make_table(seed))
    if weak:  # fingers of ice
        simulation.model.geom_friction[:] = 1e-4
    player = Player(seed, only)
    action = player.act(simulation)
    index, script = player.thing, player._script
    start, touch, heights = simulation.thing(index)[0], [], []
    while player._script is script and len(touch) < 120:
        simulation.move_tip(action[:4].astype(np.float64), float(action[4]))
        touch.append(simulation.touch)
        heights.append(simulation.thing(index)[0][2] - start[2])
        action = player.act(simulation)
    moved = np.hypot(*(simulation.thing(index)[0] - start)[:2])
    return max(heights), float(moved), np.array(touch), np.array(heights)


def test_picking_lifts_and_is_felt(simulation):
    """Measured: 100 of 100 seeds lifted by more than 5 cm. Without friction hardly anything is."""
    lifted, both = 0, []
    for seed in range(900, 908):
        height, _, touch, heights = act_out(simulation, seed, "pick")
        lifted += height > 0.05
        if height > 0.05:
            held = heights > 0.05
            both += (touch[held, :2] > 1).all(-1).tolist()
            assert (touch[held, :2].max(-1) > 1).all() and (touch[held, 3] == 1).all()
        assert not touch[:5].any() and not touch[-1].any()  # nothing is touched before and after
    assert lifted >= 7 and np.mean(both) > 0.8
    assert sum(act_out(simulation, seed, "pick", weak=True)[0] > 0.05 for seed in range(900, 904)) <= 1


def test_the_wrist_bears_what_is_held(simulation):
    """At rest the force of all contacts is the thing's weight, while each pad presses with more than that."""
    simulation.begin(make_table(900))
    player = Player(900, "pick")
    for _ in range(120):
        action = player.act(simulation)
        simulation.move_tip(action[:4].astype(np.float64), float(action[4]))
        if simulation.thing(player.thing)[0][2] > 0.12:
            break
    for _ in range(5):
        simulation.move_tip(np.zeros(4), -1.0)
    weight = 9.81 * float(simulation.model.body(f"thing{player.thing}").mass[0])
    left, right, hand, contact = simulation.touch
    assert hand == pytest.approx(weight, rel=0.1) and min(left, right) > 2 * weight and contact == 1


def test_pushing_moves_and_is_felt(simulation):
    done = [act_out(simulation, seed, "push") for seed in range(900, 908)]
    assert sum(moved > 0.03 for _, moved, *_ in done) >= 7
    assert all(touch[:, 3].any() and not touch[:3].any() for _, moved, touch, *_ in done if moved > 0.03)


def test_wandering_touches_nothing(simulation):
    simulation.begin(make_table(900))
    player = Player(900, "wander")
    places = []
    for _ in range(60):
        action = player.act(simulation)
        simulation.move_tip(action[:4].astype(np.float64), float(action[4]))
        assert not simulation.touch.any()
        places.append(simulation.tip_place)
    assert np.ptp(places, axis=0).min() > 0.05 and player.tasks == ["look around"]
    with pytest.raises(ValueError, match="only: expected one of pick, push, wander"):
        Player(0, "dance")


def test_chance_has_at_most_30_percent(simulation):
    names = []
    for seed in range(900, 908):
        simulation.begin(make_table(seed))
        player = Player(seed)
        for _ in range(80):
            action = player.act(simulation)
            simulation.move_tip(action[:4].astype(np.float64), float(action[4]))
            names.append(player.behaviour)
    shares = {name: names.count(name) / len(names) for name in ("pick", "push", "wander")}
    assert shares["wander"] <= 0.30 and min(shares.values()) > 0.05, shares


def test_tables_follow_their_seeds():
    tables = [make_table(seed) for seed in range(40)]
    assert {len(table.things) for table in tables} == {3, 4, 5, 6}
    assert {thing.kind for table in tables for thing in table.things} == {"box", "cylinder", "ball"}
    for table in tables:
        colours = [thing.colour for thing in table.things]
        assert len(set(colours)) == len(colours) and set(colours) <= set(COLOURS)
        places = np.array([thing.place for thing in table.things])
        apart = np.linalg.norm(places[:, None] - places[None], axis=-1) + np.eye(len(places))
        assert apart.min() > 0.1
    assert make_table(3) == tables[3] and tables[3] != tables[4]
    styled = make_table(3, style_seed=9)
    assert [t.place for t in styled.things] == [t.place for t in tables[3].things]
    assert [t.rgb for t in styled.things] != [t.rgb for t in tables[3].things]
    with pytest.raises(ValueError, match="expected table seeds >= 0"):
        make_table(-1)


def test_an_episode_is_whole_and_the_same_again(arm, tmp_path):
    arm(8)  # skips where nothing can be drawn
    episode = play_episode(905, 40, 32)
    again = play_episode(905, 40, 32)
    for name in ("rgb", "right", "depth", "w2c", "actions", "proprio", "touch"):
        assert torch.equal(getattr(episode, name), getattr(again, name)), name
    assert len(episode) == 40 and episode.world == "arm" and episode.fps == 10
    assert episode.task.split(" ")[0] in ("pick", "push", "look")
    save_episode(episode, tmp_path / "one.safetensors")
    loaded = load_episode(tmp_path / "one.safetensors")
    assert torch.equal(loaded.touch, episode.touch) and loaded.task == episode.task
    assert loaded.action_names[0] == "dx_m" and loaded.proprio_names[7] == "tip_x_m"
    assert not torch.equal(episode.rgb, play_episode(906, 40, 32).rgb)
    with pytest.raises(ValueError, match="at least 2 frames"):
        play_episode(0, 1, 32)


def test_action_t_enters_frame_t_plus_1(arm):
    """The tip's motion between frames t and t + 1 is that of actions[t], not of its neighbours."""
    arm(8)
    episode = play_episode(904, 60, 8)
    moved, asked = episode.proprio[1:, 7:10] - episode.proprio[:-1, 7:10], episode.actions[:, :3]
    error = {lag: float((moved[2:-2] - asked.roll(lag, 0)[2:-2]).abs().mean()) for lag in (-1, 0, 1)}
    assert error[0] < 0.6 * min(error[-1], error[1]), error
