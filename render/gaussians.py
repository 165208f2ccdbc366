"""Gaussian splats as a value: linear scales, linear opacities, wxyz quaternions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .spherical_harmonics import MAX_DEGREE, rotate_sh
from .transforms import multiply_quats, quats_from_matrix, split_similarity, transform_points


@dataclass(frozen=True)
class Gaussians:
    """N Gaussian splats in one coordinate system.

    means: centres, metres. quats: wxyz, local to world. scales: standard deviations along local axes, metres.
    opacities: 0..1. sh: colour = 0.5 + 0.2820948 sh[:, 0] + ..., K = (degree + 1)^2, degree 0..3.
    features: extra channels that are composited like colour.

    Raises ValueError when the shapes do not fit together.
    """

    means: Float[Tensor, "N 3"]
    quats: Float[Tensor, "N 4"]
    scales: Float[Tensor, "N 3"]
    opacities: Float[Tensor, " N"]
    sh: Float[Tensor, "N K 3"]
    features: Float[Tensor, "N F"] | None = None

    def __post_init__(self) -> None:
        means = self.means
        if means.ndim != 2 or means.shape[1] != 3:
            raise ValueError(f"Gaussians.means must be [N, 3]; got {list(means.shape)}.")
        n = len(means)
        expected = {"quats": (n, 4), "scales": (n, 3), "opacities": (n,)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(_shape_message(name, list(shape), means, getattr(self, name)))
        if self.sh.ndim != 3 or self.sh.shape[0] != n or self.sh.shape[2] != 3:
            raise ValueError(_shape_message("sh", [n, "K", 3], means, self.sh))
        if self.sh.shape[1] not in (1, 4, 9, 16):
            raise ValueError(
                f"Gaussians.sh must have K = 1, 4, 9 or 16 coefficients; got {self.sh.shape[1]}."
            )
        if self.features is not None and (self.features.ndim != 2 or self.features.shape[0] != n):
            raise ValueError(_shape_message("features", [n, "F"], means, self.features))

    @staticmethod
    def empty(
        sh_degree: int = 0,
        features: int = 0,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Gaussians:
        """No Gaussians; features: the number of extra channels, 0 for none."""
        if not 0 <= sh_degree <= MAX_DEGREE:
            raise ValueError(f"sh_degree must lie in 0..{MAX_DEGREE}; got {sh_degree}.")

        def rows(*shape: int) -> Tensor:
            return torch.zeros(0, *shape, device=device, dtype=dtype)

        extra = rows(features) if features else None
        return Gaussians(rows(3), rows(4), rows(3), rows(), rows((sh_degree + 1) ** 2, 3), extra)

    @staticmethod
    def cat(parts: Sequence[Gaussians]) -> Gaussians:
        """All Gaussians of the parts, in order; lower SH degrees are zero-padded to the highest."""
        if not parts:
            raise ValueError("Gaussians.cat needs at least one part; got none. Use Gaussians.empty().")
        widths = {None if part.features is None else part.features.shape[1] for part in parts}
        if len(widths) > 1:
            raise ValueError(f"Gaussians.cat needs equal feature counts; got {sorted(map(str, widths))}.")
        coefficients = max(part.sh.shape[1] for part in parts)
        columns: dict[str, Any] = {}
        for field in fields(Gaussians):
            values = [getattr(part, field.name) for part in parts]
            if field.name == "sh":
                values = [pad_sh(value, coefficients) for value in values]
            columns[field.name] = None if values[0] is None else torch.cat(values)
        return Gaussians(**columns)

    def __len__(self) -> int:
        return self.means.shape[0]

    def __getitem__(self, index: Any) -> Gaussians:
        """A part, by boolean mask, indices, slice, or one index (which gives one Gaussian, N = 1)."""
        if isinstance(index, int):
            if not -len(self) <= index < len(self):
                raise IndexError(f"Gaussian {index} of {len(self)}")
            index = slice(index % len(self), index % len(self) + 1)
        return self._map(lambda value: value[index])

    def to(self, *args: Any, **kwargs: Any) -> Gaussians:
        """Moved or converted; takes what `Tensor.to` takes."""
        return self._map(lambda value: value.to(*args, **kwargs))

    def detach(self) -> Gaussians:
        """Without gradient history."""
        return self._map(lambda value: value.detach())

    @property
    def device(self) -> torch.device:
        return self.means.device

    @property
    def dtype(self) -> torch.dtype:
        return self.means.dtype

    def transform(self, b_from_a: Float[Tensor, "4 4"]) -> Gaussians:
        """The same Gaussians expressed in b: means, quats, scales and view-dependent colour move together.

        b_from_a: a rigid or similarity transform; shear and reflections raise ValueError.
        """
        b_from_a = b_from_a.to(self.means)
        rotation, scale = split_similarity(b_from_a)
        return replace(
            self,
            means=transform_points(b_from_a, self.means),
            quats=multiply_quats(quats_from_matrix(rotation), self.quats),
            scales=self.scales * scale,
            sh=rotate_sh(self.sh, rotation),
        )

    def _map(self, function: Any) -> Gaussians:
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            values[name] = None if value is None else function(value)
        return Gaussians(**values)


def pad_sh(sh: Float[Tensor, "N K 3"], coefficients: int) -> Float[Tensor, "N L 3"]:
    """The same colours with more coefficients, the new ones zero."""
    return torch.nn.functional.pad(sh, (0, 0, 0, coefficients - sh.shape[1]))


def _shape_message(name: str, expected: list, means: Tensor, got: Tensor) -> str:
    message = f"Gaussians.{name} must be {expected} like means {list(means.shape)}; got {list(got.shape)}."
    if name == "quats" and got.shape[1:] in ((3,), (3, 3)):
        message += " Rotation matrices? Use quats_from_matrix()."
    if name in ("scales", "opacities") and got.ndim == 2 and got.shape[1] == 1:
        message += " Expand it to three scales." if name == "scales" else " Use .squeeze(1)."
    if name == "sh" and got.ndim == 2:
        message += " Plain colours? Use sh_from_rgb()."
    return message
