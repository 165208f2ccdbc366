"""Vectors beside frames: learned from actions and from the past, a control that is not, the same cached or not."""

from dataclasses import fields, replace

import pytest
import torch

from hybridwm.core.conditioning import Recalled
from hybridwm.core.config import CoreConfig
from hybridwm.core.network import VideoNetwork
from hybridwm.core.vectors import pack, starting_noise, unpack
from hybridwm.core.video_core import VideoCore
from hybridwm.training.clips import make_batch, step_generator
from hybridwm.training.config import EpisodesConfig, RecallConfig, TrainConfig
from hybridwm.training.episodes import Episodes, make_episodes
from hybridwm.training.train import train
from hybridwm.training.vectors import ClipVectors, clearance, odometry, vector_loss
from hybridwm.world_model import imagine, load
from hybridwm.worlds.rooms.rig import RoomsRig
from recon import View
from render import Camera

CPU = torch.device("cpu")
VECTORS = (("odometry", 4), ("clearance", 1))
CORE = CoreConfig(height=16, width=16, eyes=1, dim=32, depth=2, heads=4, window=3, vectors=VECTORS)
CONFIG = TrainConfig(
    name="felt",
    core=CORE,
    episodes=EpisodesConfig(episodes=2, validation=1, steps=6, batch=3),
    steps=3,
    batch=2,
    clip=4,
    warm_up=1,
    validate_every=3,
    shortcut=0.5,
    own_rollouts=1.0,
    remembered=0.0,
    device="cpu",
    threads=1,
)
LEARNING = replace(CORE, height=8, width=8)
STEPS, CLIPS = 280, 12


def corridors(count: int = 40, frames: int = 8) -> Episodes:
    """Grey walks: what is moved is in the actions, and how far the wall is, in the past alone."""
    g = torch.Generator().manual_seed(0)
    metres = 0.5 + 4 * torch.rand(count, generator=g)
    return Episodes(
        torch.full((count, frames, 1, 8, 8, 3), 128, dtype=torch.uint8),
        metres[:, None, None, None].expand(count, frames, 8, 8).half(),
        torch.eye(4).expand(count, frames, 4, 4),
        0.2 * torch.randn(count, frames, 4, generator=g),
    )


def learn(shuffled: bool) -> VideoCore:
    torch.manual_seed(0)
    core = VideoCore(LEARNING)
    optimiser = torch.optim.AdamW(core.parameters(), 1e-2)
    walks, rig = corridors(), RoomsRig(size=8)
    episodes = replace(CONFIG.episodes, steps=8)
    config = replace(
        CONFIG,
        episodes=episodes,
        core=LEARNING,
        batch=CLIPS,
        recall=RecallConfig(drop=1.0),
        context_drop=0.0,
        shortcut=0.0,
    )
    for step in range(STEPS):
        generator = step_generator(0, step, CPU)
        batch = make_batch(walks, config, rig, generator)
        vectors = batch.vectors
        if shuffled:
            other = vectors.clean[torch.randperm(CLIPS, generator=generator)]
            other = other[:, torch.randperm(4, generator=generator)]
            # of each frame another one's, so that neither its action nor its past tells
            other = torch.stack([other[:, i].roll(i, 0) for i in range(4)], 1)
            vectors = ClipVectors.noised(other, batch.conditions.t, generator)
        told = core.network(batch.noisy, batch.conditions, batch.sight, first=4, vectors=vectors.noisy)
        loss, _ = vector_loss(told.vectors, vectors.clean, batch.t)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        for group in optimiser.param_groups:
            group["lr"] = 1e-2 * (1 - step / STEPS)
    return core.eval()


def share_unexplained(core: VideoCore, count: int = 24) -> dict[str, float]:
    """Squared error of imagined vectors, over that of always saying the mean."""
    walks = corridors()
    camera = RoomsRig(size=8).camera(torch.eye(4))
    errors, true = {name: [] for name, _ in VECTORS}, {name: [] for name, _ in VECTORS}
    for i in range(count):
        told = walks.vectors(torch.tensor([i]), torch.arange(1, 5)[None], CORE)[0]
        context = core.begin(camera, seed=i)
        for k in range(3):
            vectors = {"odometry": told[k, :4], "clearance": told[k, 4:]}
            context = core.remember(context, torch.zeros(3, 8, 8), camera, walks.actions[i, k + 1], vectors=vectors)
        _, imagined = core.imagine_all(context, Recalled(), camera, walks.actions[i, 4])
        for name, expected in (("odometry", told[3, :4]), ("clearance", told[3, 4:])):
            errors[name].append((imagined[name] - expected).square())
            true[name].append(expected)
    return {
        name: float(torch.stack(errors[name]).mean() / torch.stack(true[name]).var(0, correction=0).mean())
        for name in errors
    }


@pytest.mark.timeout(500)
def test_what_follows_from_actions_and_from_the_past_is_predicted_and_what_is_shuffled_is_not():
    learned, control = share_unexplained(learn(False)), share_unexplained(learn(True))
    assert learned["odometry"] < 0.2 and learned["clearance"] < 0.2
    assert control["odometry"] > 0.8 and control["clearance"] > 0.8


def random_core() -> VideoCore:
    torch.manual_seed(0)
    core = VideoCore(CORE)
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return core.eval()


def walked(core: VideoCore, odometry: float = 0.5):
    g = torch.Generator().manual_seed(1)
    camera = Camera.from_fov(16, 16, 70, torch.eye(4))
    context = core.begin(camera, 0)
    for _ in range(3):
        vectors = {"odometry": torch.full((4,), odometry), "clearance": torch.zeros(1)}
        context = core.remember(context, torch.rand(3, 16, 16, generator=g), camera, torch.zeros(4), vectors=vectors)
    return context, camera


def test_vectors_in_the_context_change_the_next_frame_and_its_vectors():
    core = random_core()
    (a, camera), (b, _) = walked(core), walked(core, 0.9)
    (frame, vectors), (other, others) = (
        core.imagine_all(context, Recalled(), camera, torch.zeros(4), solver_steps=2) for context in (a, b)
    )
    assert (frame - other).abs().max() > 1e-4
    assert (vectors["odometry"] - others["odometry"]).abs().max() > 1e-4
    again = core.imagine(a, Recalled(), camera, torch.zeros(4), solver_steps=2)
    assert torch.equal(again, frame)


@torch.no_grad()
def test_vectors_are_causal_and_cached_steps_equal_the_whole_clip():
    core = random_core()
    context, camera = walked(core)
    told = core.conditions(context, camera, torch.zeros(4), Recalled(), level=2)
    parts = {f.name: getattr(told, f.name) for f in fields(told) if f.name != "remembered"}
    clip = type(told)(**{name: torch.cat([part] * 4, 1) for name, part in parts.items()})
    clip = replace(clip, steps=torch.arange(4)[None])
    g = torch.Generator().manual_seed(3)
    noisy, vectors = torch.randn(1, 4, 3, 16, 16, generator=g), torch.randn(1, 4, 5, generator=g)
    whole = core.network(noisy, clip, vectors=vectors)
    changed = vectors.clone()
    changed[:, 3] += 1
    after = core.network(noisy, clip, vectors=changed)
    assert torch.equal(whole.vectors[:, :3], after.vectors[:, :3])
    assert (whole.vectors[:, 3] - after.vectors[:, 3]).abs().max() > 1e-3

    def one(i):
        picked = type(told)(**{name: getattr(clip, name)[:, i : i + 1] for name in parts})
        return noisy[:, i : i + 1], picked, vectors[:, i : i + 1]

    pages = ()
    for i in range(3):
        frame, condition, vector = one(i)
        page = core.network.write(frame, condition, pages, t=1.0, step=i, vectors=vector)
        pages = (*pages, page)
    frame, condition, vector = one(3)
    cached = core.network(frame, condition, pages=pages, vectors=vector)
    assert torch.allclose(cached.vectors, whole.vectors[:, 3:], atol=1e-4)
    assert torch.allclose(cached.frames, whole.frames[:, 3:], atol=1e-4)


def test_a_frames_noise_is_the_same_with_and_without_vectors():
    frames, vectors = unpack(starting_noise(3, 4, CORE), CORE.shape)
    assert torch.equal(frames, starting_noise(3, 4, replace(CORE, vectors=())))
    assert torch.equal(pack(frames, vectors), starting_noise(3, 4, CORE))
    assert vectors.shape == (1, 1, 5)


def test_several_frames_are_sampled_with_their_vectors():
    core = random_core()
    context, camera = walked(core)
    frames = core.sample(context, [Recalled()] * 2, [camera] * 2, torch.zeros(2, 4), solver_steps=2)
    first = core.imagine(context, Recalled(), camera, torch.zeros(4), solver_steps=2)
    assert frames.shape == (2, 3, 16, 16)
    assert (frames[0] - first.clamp(-1, 1)).abs().max() < 1.01 / 127.5


def test_what_the_walks_tell():
    walks = make_episodes([1], 4, RoomsRig(size=16), CPU, eyes=1)
    told = walks.vectors(torch.tensor([0]), torch.arange(4)[None], CORE)
    assert torch.allclose(told[0, :, :4], odometry(walks.actions[0]))
    near, far = (clearance(torch.full((1, 16, 16), metres)) for metres in (0.7, 3.0))
    assert near > far and far == pytest.approx(2 * 0.5 / 3 - 1)
    assert walks.vectors(torch.tensor([0]), torch.arange(4)[None], replace(CORE, vectors=())) is None


def test_a_trained_core_gives_and_takes_them(tmp_path):
    weights = train(CONFIG, tmp_path)
    world = load(weights, memory="recent")
    rig = RoomsRig(size=16)
    walks = make_episodes([5], 4, rig, CPU, eyes=1)
    views = [View(walks.rgb[0, i, 0].float() / 255, rig.camera(walks.w2c[0, i])) for i in range(4)]
    felt = [
        {"odometry": odometry(walks.actions[0, i]), "clearance": clearance(walks.depth[0, i].float())} for i in range(4)
    ]
    state = world.start(views, seed=0, vectors=felt)
    _, frame = world.step(state, "forward")
    assert {name: vector.shape[0] for name, vector in frame.vectors.items()} == dict(VECTORS)
    assert torch.isfinite(imagine(world, state, ["forward", "left"]).frames).all()
    with pytest.raises(ValueError, match=r"vectors: expected \{'odometry': \(4,\).*got none"):
        world.start(views, seed=0)
    with pytest.raises(ValueError, match="vectors for each of 4 views; got 3"):
        world.start(views, seed=0, vectors=felt[:3])


def test_vectors_that_no_walk_tells_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected some of .*got \(\('touch', 3\),\)"):
        train(replace(CONFIG, core=replace(CORE, vectors=(("touch", 3),))), tmp_path)
    with pytest.raises(ValueError, match="different names with sizes of at least 1"):
        replace(CORE, vectors=(("touch", 3), ("touch", 2)))


def test_a_core_without_vectors_takes_none():
    core = VideoCore(replace(CORE, vectors=()))
    camera = Camera.from_fov(16, 16, 70, torch.eye(4))
    with pytest.raises(ValueError, match="vectors: expected none"):
        vectors = {"a": torch.ones(1)}
        core.remember(core.begin(camera, 0), torch.zeros(3, 16, 16), camera, torch.zeros(4), vectors=vectors)
    with pytest.raises(ValueError, match="expected 5 numbers of vectors beside frames; got None"):
        told = core.conditions(core.begin(camera, 0), camera, torch.zeros(4), Recalled(), level=0)
        VideoNetwork(CORE)(torch.zeros(1, 1, 3, 16, 16), told)
