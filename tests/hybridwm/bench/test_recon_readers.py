"""The figures of the readers come out of one function, of whatever recordings are there."""

import pytest

from hybridwm.bench.recon_readers import measure


def test_no_recordings_no_figures(tmp_path):
    assert measure(tmp_path) == {}


def test_the_figures_of_what_is_there(shared_data, tmp_path):
    for name in ("multiview/maupertuis_colmap_txt", "trajectories/evo_tum_kitti"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(shared_data(name))
    figures = measure(tmp_path)
    text, binary, control = (
        figures[f"maupertuis_colmap_txt: {name}"]
        for name in ("reprojection, text (px)", "reprojection, binary (px)", "control: half a pixel off (px)")
    )
    assert text == binary == pytest.approx(0.3426, abs=5e-5) and control > 0.7
    assert figures["evo_tum_kitti: KITTI 00 ORB, rigid (m)"] == pytest.approx(1.303450, abs=1e-6)
