"""Matches of pairs of images joined into tracks: one point, seen at most once in each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .features import Features, match_features
from .two_view import FEWEST, epipolar_inliers

ALL_PAIRS = 40  # images; beyond, each is matched with its neighbours in time and with every so-manieth farther one
NEIGHBOURS = 12

Matches = Mapping[tuple[int, int], Tensor]


@dataclass(frozen=True)
class Tracks:
    """Observations sorted by track: which image saw it, and at which pixel."""

    track: Int[Tensor, "O"]
    image: Int[Tensor, "O"]
    pixels: Float[Tensor, "O 2"]

    @property
    def count(self) -> int:
        return int(self.track[-1]) + 1 if len(self.track) else 0

    def table(self, images: int) -> Int[Tensor, "N V"]:
        """For each track and image the index of the observation, -1 without one."""
        table = torch.full((self.count, images), -1)
        table[self.track, self.image] = torch.arange(len(self.track))
        return table

    def select(self, tracks: Tensor) -> Tracks:
        """The tracks where the mask is true, renumbered."""
        keep = tracks[self.track]
        return Tracks((tracks.cumsum(0) - 1)[self.track[keep]], self.image[keep], self.pixels[keep])


def match_images(features: Sequence[Features], K: Float[Tensor, "3 3"]) -> dict[tuple[int, int], Int[Tensor, "M 2"]]:
    """Of the image pairs those with enough matches that agree on an epipolar geometry, and these matches."""
    found = {}
    for a, b in _pairs(len(features)):
        pairs = match_features(features[a], features[b])
        if len(pairs) >= FEWEST:
            pairs = pairs[epipolar_inliers(features[a].pixels[pairs[:, 0]], features[b].pixels[pairs[:, 1]], K)]
        if len(pairs) >= FEWEST:
            found[a, b] = pairs
    return found


def join_tracks(features: Sequence[Features], matches: Matches) -> Tracks:
    """Connected matches; a track that would see one image twice holds a wrong match, and is left out whole."""
    starts = torch.tensor([0, *(len(one) for one in features)]).cumsum(0)
    total = int(starts[-1])
    label = torch.arange(total)
    edges = [pairs + starts[[a, b]] for (a, b), pairs in matches.items()]
    links = torch.cat(edges) if edges else torch.zeros(0, 2, dtype=torch.long)
    while len(links):  # each keypoint takes the smallest label among those it is linked with, until none changes
        least = label[links].amin(1)
        lowered = label.scatter_reduce(0, links.flatten(), least.repeat_interleave(2), "amin")
        lowered = lowered[lowered]
        if torch.equal(lowered, label):
            break
        label = lowered
    image = torch.repeat_interleave(torch.arange(len(features)), starts.diff())
    pixels = torch.cat([one.pixels for one in features])
    size = torch.bincount(label, minlength=total)
    twice = torch.zeros(total, dtype=torch.bool)
    unique, seen = (label * len(features) + image).unique(return_counts=True)
    twice[unique[seen > 1] // len(features)] = True
    kept = ((size >= 2) & ~twice)[label].nonzero().squeeze(1)
    _, track = label[kept].unique(return_inverse=True)
    order = track.argsort(stable=True)
    return Tracks(track[order], image[kept[order]], pixels[kept[order]])


def _pairs(count: int) -> list[tuple[int, int]]:
    """All pairs of a few images; of many, neighbours and a sparse net of others."""
    pairs = [(a, b) for a in range(count) for b in range(a + 1, count)]
    if count <= ALL_PAIRS:
        return pairs
    return [(a, b) for a, b in pairs if b - a <= NEIGHBOURS or (a % NEIGHBOURS == 0 and b % NEIGHBOURS == 0)]
