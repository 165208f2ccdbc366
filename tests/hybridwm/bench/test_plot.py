from xml.etree import ElementTree

import pytest

from hybridwm.bench.plot import dot_plot

SVG = "{http://www.w3.org/2000/svg}"


def cell(name, size, **milliseconds):
    return {
        "name": name,
        "contender": f"{name} <2 threads>",
        "size": size,
        "splats": 9801,
        "width": 64,
        "height": 48,
        "milliseconds": {"render": None, "forward": None, "backward": None, **milliseconds},
    }


def circles(svg):
    """(x, filled) of the dots, without the two of the key."""
    found = ElementTree.fromstring(svg).iter(f"{SVG}circle")
    return [(float(dot.get("cx")), dot.get("fill") != "#fff") for dot in found][2:]


def test_equal_ratios_are_equal_distances():
    cells = [cell("cpu", "a", forward=1.5, backward=15.0), cell("torch", "a", forward=150.0, backward=1500.0)]
    svg = dot_plot(cells, "T")
    (ring, _), (dot, filled), (other_ring, _), (other_dot, _) = circles(svg)
    assert filled
    assert ring - dot == pytest.approx(other_ring - other_dot, abs=0.2)
    assert other_dot - ring == pytest.approx(ring - dot, abs=0.2)


def test_every_row_lies_within_the_picture():
    cells = [cell(name, size, forward=0.03, backward=9999.0) for size in "abcd" for name in ("cpu", "torch", "gsplat")]
    root = ElementTree.fromstring(dot_plot(cells, "Times & more"))
    width, height = (float(root.get(name)) for name in ("width", "height"))
    assert all(0 < float(t.get("x")) < width and 0 < float(t.get("y")) < height for t in root.iter(f"{SVG}text"))
    assert len(circles(ElementTree.tostring(root).decode())) == 2 * len(cells)
    assert root.get("aria-label") == "Times & more"


def test_one_without_a_backward_pass_is_a_dot():
    assert [filled for _, filled in circles(dot_plot([cell("pytorch3d", "a", render=7.0)], "T"))] == [True]


def test_nothing_measured_is_an_error():
    with pytest.raises(ValueError, match="at least one measured cell"):
        dot_plot([cell("cpu", "a")], "T")
