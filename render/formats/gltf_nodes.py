"""Where the scene of a glTF file places its splat primitives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from ..conventions import wxyz_from_xyzw
from ..transforms import matrix_from_quats
from .gltf_document import EXTENSION, Document

MAX_PLACES = 1024

Matrix = Float64[np.ndarray, "4 4"]


@dataclass
class Placed:
    """A splat primitive and the transforms, gltf_from_primitive, of the nodes that show it."""

    primitive: dict[str, Any]
    places: list[Matrix]


def placed_primitives(document: Document) -> list[Placed]:
    """The splat primitives of the scene that the file shows first, other meshes left out.

    Raises FormatError when there is no scene or no splats in it, when a node is reached twice, or where more than
    MAX_PLACES primitives are shown.
    """
    scene = document.entry("scenes", document.root.get("scene", 0))
    nodes, parents, indices = _reachable(document, scene)
    matrices = _local_transforms(document, nodes)
    found: dict[int, list[Placed]] = {}
    places = 0
    for i, node in enumerate(nodes):
        if parents[i] >= 0:
            with np.errstate(over="ignore", invalid="ignore"):  # refused where they are used
                matrices[i] = matrices[parents[i]] @ matrices[i]
        if "mesh" not in node:
            continue
        mesh = document.integer(node["mesh"], f"the mesh of node {indices[i]}", 0, 2**31)
        if mesh not in found:
            found[mesh] = _splats_of(document, mesh)
        places += len(found[mesh])
        if places > MAX_PLACES:
            document.fail(f"at most {MAX_PLACES} splat primitives in the scene", "more", "merge them first")
        for placed in found[mesh]:
            placed.places.append(matrices[i])
    if not places:
        document.fail(f"a mesh primitive with {EXTENSION} in the scene", "none", "only splats can be read here")
    return [placed for mesh in found.values() for placed in mesh]


def _reachable(document: Document, scene: dict[str, Any]) -> tuple[list[dict[str, Any]], list[int], list[int]]:
    """The scene's nodes, parents before children; for each its parent's place in that list (-1: none), its index."""
    nodes, parents, indices = [], [], []
    seen: set[int] = set()
    waiting = [(index, -1) for index in reversed(document.array(scene.get("nodes", []), "a scene's nodes"))]
    while waiting:
        index, parent = waiting.pop()
        node = document.entry("nodes", index)
        if index in seen:
            document.fail("a tree of nodes", f"node {index} in two places")
        seen.add(index)
        nodes.append(node)
        parents.append(parent)
        indices.append(index)
        children = document.array(node.get("children", []), "a node's children")
        waiting += [(child, len(nodes) - 1) for child in reversed(children)]
    return nodes, parents, indices


def _local_transforms(document: Document, nodes: list[dict[str, Any]]) -> Float64[np.ndarray, "M 4 4"]:
    """parent_from_node of each node."""
    matrices = np.tile(np.eye(4), (len(nodes), 1, 1))
    quats = np.tile([0.0, 0.0, 0.0, 1.0], (len(nodes), 1))
    scales = np.ones((len(nodes), 3))
    for i, node in enumerate(nodes):
        if "matrix" in node:  # by columns
            matrices[i] = np.reshape(document.numbers(node["matrix"], "a node's matrix", 16), (4, 4)).T
            if matrices[i, 3].tolist() != [0, 0, 0, 1]:
                document.fail("a node's matrix with last row 0 0 0 1", "another")
            continue
        if "translation" in node:
            matrices[i, :3, 3] = document.numbers(node["translation"], "a node's translation", 3)
        if "rotation" in node:
            quats[i] = document.numbers(node["rotation"], "a node's rotation", 4)
            if not quats[i].any():
                document.fail("a node's rotation as a quaternion", "zero")
        if "scale" in node:
            scales[i] = document.numbers(node["scale"], "a node's scale", 3)
    rotations = matrix_from_quats(wxyz_from_xyzw(torch.from_numpy(quats))).numpy()
    plain = np.array(["matrix" not in node for node in nodes], dtype=bool)
    matrices[plain, :3, :3] = (rotations * scales[:, None, :])[plain]
    return matrices


def _splats_of(document: Document, mesh: int) -> list[Placed]:
    primitives = document.array(document.entry("meshes", mesh).get("primitives"), "a mesh's primitives")
    splats = []
    for primitive in primitives:
        extensions = document.object(primitive, "a primitive").get("extensions", {})
        if EXTENSION in document.object(extensions, "a primitive's extensions"):
            splats.append(Placed(primitive, []))
    return splats
