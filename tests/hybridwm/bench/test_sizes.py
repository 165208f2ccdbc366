import pytest

from hybridwm.bench.sizes import Size


@pytest.mark.parametrize(
    ("text", "size", "shown"),
    [
        ("100k@256", Size(100_000, 256, 256), "100k@256"),
        ("1M@640x480", Size(1_000_000, 640, 480), "1M@640x480"),
        ("1500@24x24", Size(1500, 24, 24), "1500@24"),
        (" 2000k@8 ", Size(2_000_000, 8, 8), "2M@8"),
    ],
)
def test_what_is_typed_and_how_it_is_shown(text, size, shown):
    assert Size.parse(text) == size
    assert str(size) == shown
    assert Size.parse(shown) == size


@pytest.mark.parametrize("text", ["", "100k", "@256", "100K@256", "1e5@256", "-5@256", "5@256x", "5@x5"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="expected splats@pixels, as in 100k@256"):
        Size.parse(text)


@pytest.mark.parametrize("text", ["0@256", "101M@256", "100@0", "100@8193", "100@256x0"])
def test_sizes_out_of_range_are_refused(text):
    with pytest.raises(ValueError, match=f"1 to 100M splats and 1 to 8192 pixels a side; got '{text}'"):
        Size.parse(text)
