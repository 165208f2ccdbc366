"""What the kernel tests share: gradients of a random loss by any backend, and the pixels that have no one answer."""

from dataclasses import fields

import torch

from render import Camera, Gaussians, rasterize_torch

IMAGES = ("rgb", "alpha", "depth", "features")


def differentiate(backend, gaussians, cameras, weights, dtype, **options):
    """The backend's output, and the gradient of sum(weights * images) for every input, by name."""
    leaves = {
        field.name: value.to(dtype).clone().requires_grad_()
        for field in fields(Gaussians)
        if (value := getattr(gaussians, field.name)) is not None
    }
    leaves["K"] = cameras.K.to(dtype).clone().requires_grad_()
    leaves["w2c"] = cameras.w2c.to(dtype).clone().requires_grad_()
    splats = Gaussians(**{name: value for name, value in leaves.items() if name not in ("K", "w2c")})
    output = backend(splats, Camera(leaves["K"], leaves["w2c"], cameras.width, cameras.height), **options)
    sum((getattr(output, name) * weight.to(dtype)).sum() for name, weight in weights.items()).backward()
    return output, {name: leaf.grad for name, leaf in leaves.items()}


def random_weights(gaussians, cameras, sure, seed):
    """One random number for each number of each image, 0 where a pixel has no one answer."""
    generator = torch.Generator().manual_seed(seed)
    weights = {"rgb": torch.randn(*sure.shape, 3, generator=generator)}
    weights |= {name: torch.randn(sure.shape, generator=generator) for name in ("alpha", "depth")}
    if gaussians.features is not None:
        weights["features"] = torch.randn(*sure.shape, gaussians.features.shape[1], generator=generator)
    return {name: value * (sure if value.ndim == 3 else sure[..., None]) for name, value in weights.items()}


def sure_pixels(gaussians, cameras, monkeypatch, **options):
    """[V, H, W]: where thresholds moved by 1 part in 10,000 change nothing. Elsewhere a rounding may tip an alpha over
    1/255, a pixel over its end or its depth over the mean alpha, and neither image is wrong."""
    splats, exact = gaussians.to(torch.float64), cameras.to(torch.float64)
    images = []
    for factor in (1 - 1e-4, 1.0, 1 + 1e-4):
        with monkeypatch.context() as patch:
            for name in ("MIN_ALPHA", "MIN_TRANSMITTANCE"):
                patch.setattr(rasterize_torch, name, getattr(rasterize_torch, name) * factor)
            images.append(rasterize_torch.rasterize_torch(splats, exact, **options))
    middle = images[1]
    sure = (middle.alpha - 0.5).abs() > 1e-4
    for other in (images[0], images[2]):
        sure &= (other.rgb - middle.rgb).abs().amax(dim=-1) < 1e-7
        sure &= (other.alpha - middle.alpha).abs() < 1e-7
    return sure
