"""Gaussians as Adam moves them: logarithms and logits, free of bounds, each with its moments and its origin."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from render.gaussians import Gaussians, pad_sh

MAX_OPACITY = 0.995  # a logit beyond it hardly moves any more
SMALLEST_SCALE = 1e-6  # metres


@dataclass(frozen=True)
class Rates:
    """Adam's step for each parameter. means: in pixels of a view of the scene; the others: quaternion, log metres,
    logit, SH coefficients of degree 0 and of those above.

    For a few hundred steps, so 4 to 16 times those that 3DGS takes 30,000 steps with. Above degree 0 they are as quick
    as below: views that expose differently then keep colours of their own, as from their places.
    """

    means: float = 0.2
    quats: float = 4e-3
    log_scales: float = 2e-2
    logits: float = 0.1
    sh_base: float = 4e-2
    sh_rest: float = 4e-2


class RawSplats:
    """The parameters of N Gaussians with Adam's state; `source` [N]: the row of the first scene each came from."""

    def __init__(self, gaussians: Gaussians, sh_degree: int, rates: Rates, pixel: float) -> None:
        """pixel: metres of a pixel at the scene's distance, the unit of Rates.means."""
        gaussians = gaussians.detach()
        sh = pad_sh(gaussians.sh, max(gaussians.sh.shape[1], (sh_degree + 1) ** 2))
        self.tensors: dict[str, Tensor] = {
            "means": gaussians.means.clone(),
            "quats": torch.nn.functional.normalize(gaussians.quats, dim=-1),
            "log_scales": gaussians.scales.clamp(min=SMALLEST_SCALE).log(),
            "logits": torch.logit(gaussians.opacities.clamp(1 - MAX_OPACITY, MAX_OPACITY)),
            "sh_base": sh[:, :1].clone(),
            "sh_rest": sh[:, 1:].clone(),
        }
        self.steps = {
            "means": rates.means * pixel, "quats": rates.quats, "log_scales": rates.log_scales,
            "logits": rates.logits, "sh_base": rates.sh_base, "sh_rest": rates.sh_rest,
        }  # fmt: skip
        self.source = torch.arange(len(gaussians), device=gaussians.device)
        groups = [
            {"params": [tensor.requires_grad_()], "name": name, "lr": self.steps[name]}
            for name, tensor in self.tensors.items()
        ]
        self.optimizer = torch.optim.Adam(groups, eps=1e-15, fused=True)

    def __len__(self) -> int:
        return len(self.source)

    def gaussians(self) -> Gaussians:
        """The Gaussians, through which gradients reach the parameters."""
        raw = self.tensors
        sh = torch.cat([raw["sh_base"], raw["sh_rest"]], dim=1) if raw["sh_rest"].shape[1] else raw["sh_base"]
        return Gaussians(raw["means"], raw["quats"], raw["log_scales"].exp(), raw["logits"].sigmoid(), sh)

    def opacities(self) -> Float[Tensor, "N"]:
        return self.tensors["logits"].detach().sigmoid()

    def step(self, share: float, frozen: Bool[Tensor, "N"] | None = None) -> None:
        """One step of Adam with `share` of the rates; rows that are `frozen` stay."""
        for group in self.optimizer.param_groups:
            group["lr"] = share * self.steps[group["name"]]
        kept = {} if frozen is None else {name: tensor.detach()[frozen] for name, tensor in self.tensors.items()}
        self.optimizer.step()
        with torch.no_grad():
            for name, rows in kept.items():
                self.tensors[name][frozen] = rows
        self.optimizer.zero_grad(set_to_none=True)

    def append(self, rows: Int[Tensor, "M"]) -> None:
        """Copies of these rows at the end, from the same source."""
        self._replace(lambda tensor, new: torch.cat([tensor, torch.zeros_like(tensor[rows]) if new else tensor[rows]]))
        self.source = torch.cat([self.source, self.source[rows]])

    def keep(self, mask: Bool[Tensor, "N"]) -> None:
        """Only the rows where the mask holds."""
        if not bool(mask.all()):
            self._replace(lambda tensor, new: tensor[mask])
            self.source = self.source[mask]

    def overwrite(self, rows: Int[Tensor, "M"], others: Int[Tensor, "M"]) -> None:
        """These rows become copies of the others, of their source."""
        with torch.no_grad():
            for tensor in self.tensors.values():
                tensor[rows] = tensor[others]
        self.source[rows] = self.source[others]
        self.forget(rows)

    def forget(self, rows: Int[Tensor, "M"]) -> None:
        """Adam's moments of these rows begin anew."""
        for tensor in self.tensors.values():
            for moment in self._moments(tensor):
                moment[rows] = 0

    def snapshot(self) -> tuple[Gaussians, Int[Tensor, "N"]]:
        """A copy of the Gaussians, quaternions of unit length, and of their sources."""
        with torch.no_grad():
            gaussians = self.gaussians()
            columns = {f.name: getattr(gaussians, f.name) for f in fields(gaussians) if f.name != "features"}
            columns["quats"] = torch.nn.functional.normalize(gaussians.quats, dim=-1)
            return Gaussians(**{name: value.clone() for name, value in columns.items()}), self.source.clone()

    def _moments(self, tensor: Tensor) -> list[Tensor]:
        state = self.optimizer.state.get(tensor, {})
        return [state[name] for name in ("exp_avg", "exp_avg_sq") if name in state]

    def _replace(self, rows) -> None:
        """Every parameter by rows(tensor, False), every moment by rows(moment, True)."""
        for group in self.optimizer.param_groups:
            old = group["params"][0]
            new = rows(old.detach(), False).clone().requires_grad_()
            state = self.optimizer.state.pop(old, None)
            if state:
                moments = {name: rows(state[name], True) for name in ("exp_avg", "exp_avg_sq")}
                self.optimizer.state[new] = {**state, **moments}
            group["params"][0] = self.tensors[group["name"]] = new
