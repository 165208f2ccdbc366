"""COLMAP's mapper in a process of its own: run by colmap.py as `python colmap_process.py FOLDER`, imported by nobody.

A failed check inside COLMAP ends its process, and pycolmap and OpenCV in one process crash when either writes a PNG;
so neither shares a process with the caller. FOLDER holds images/, and request.json {fx, fy, cx, cy, threads};
models.json is written to it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pycolmap

# Runs of the mapper that begin elsewhere: from a bad first pair it comes out bent, and another seed changes nothing.
ATTEMPTS = ({}, {"init_min_tri_angle": 4.0}, {"init_max_error": 2.0, "abs_pose_max_error": 4.0})


def main(folder: Path) -> None:
    import pycolmap

    request = json.loads((folder / "request.json").read_text())
    pycolmap.logging.minloglevel = 2  # errors
    pycolmap.set_random_seed(0)
    database, images = folder / "database.db", folder / "images"
    _match(database, images, request)
    models = []
    for attempt, mapper in enumerate(ATTEMPTS):
        out = folder / f"model-{attempt}"
        out.mkdir()
        found = pycolmap.incremental_mapping(database, images, out, _options(mapper, request["threads"]))
        models += [_described(model) for model in found.values()]
    (folder / "models.json").write_text(json.dumps(models))


def _match(database: Path, images: Path, request: dict[str, Any]) -> None:
    import pycolmap

    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = "PINHOLE"
    reader.camera_params = ",".join(repr(request[name]) for name in ("fx", "fy", "cx", "cy"))
    extraction, matching = pycolmap.FeatureExtractionOptions(), pycolmap.FeatureMatchingOptions()
    extraction.num_threads = matching.num_threads = request["threads"]
    extraction.use_gpu = matching.use_gpu = False
    cpu, single = pycolmap.Device.cpu, pycolmap.CameraMode.SINGLE
    pycolmap.extract_features(
        database, images, camera_mode=single, reader_options=reader, extraction_options=extraction, device=cpu
    )
    pycolmap.match_exhaustive(database, matching_options=matching, device=cpu)


def _options(mapper: dict[str, float], threads: int) -> pycolmap.IncrementalPipelineOptions:
    import pycolmap

    options = pycolmap.IncrementalPipelineOptions()
    options.ba_refine_focal_length = options.ba_refine_principal_point = options.ba_refine_extra_params = False
    options.multiple_models = False
    options.min_model_size = 3
    options.num_threads = threads
    options.random_seed = 0
    for name, value in mapper.items():
        setattr(options.mapper, name, value)
    return options


def _described(model: pycolmap.Reconstruction) -> dict[str, Any]:
    """Images by name with their 3x4 w2c, points, and observations [point, name of the image, u, v]."""
    images = {key: image for key, image in model.images.items() if image.has_pose}
    observations = [
        [index, images[element.image_id].name, *map(float, images[element.image_id].points2D[element.point2D_idx].xy)]
        for index, point in enumerate(model.points3D.values())
        for element in point.track.elements
        if element.image_id in images
    ]
    return {
        "images": {image.name: image.cam_from_world().matrix().tolist() for image in images.values()},
        "points": [point.xyz.tolist() for point in model.points3D.values()],
        "observations": observations,
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
