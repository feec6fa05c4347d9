import io
import math

import numpy as np
import pytest
from PIL import Image

from sagan_tf import config
from sagan_tf.images import pixels
from sagan_tf.viewing import interpolate, sample, trained

pytestmark = pytest.mark.usefixtures("open_once")


@pytest.mark.slow
def test_interpolation_ends_at_the_pictures_of_its_ends(tiny_run):
    network = trained.open_model(tiny_run)
    z, _ = network.draw([3, 4])
    for labels in ([1, 1], [0, 2]):
        frames = interpolate.interpolate(network, labels, seeds=[3, 4], frames=5).astype(int)
        ends = pixels.to_uint8(network.generate(z, labels)).astype(int)
        assert frames.shape == (5, 32, 32, 3)
        assert np.abs(frames[[0, 4]] - ends).max() <= 1
        assert np.abs(frames[2] - frames[0]).max() > 5


def test_arc_keeps_the_length():
    first, second = np.array([3.0, 0, 0]), np.array([0, 3.0, 0])
    found = interpolate.slerp(first, second, shares=np.array([0, 1 / 3, 0.5, 1]))
    root = math.sqrt(0.5)
    np.testing.assert_allclose(
        found,
        3 * np.array([[1, 0, 0], [math.sqrt(0.75), 0.5, 0], [root, root, 0], [0, 1, 0]]),
        atol=1e-6,
    )
    np.testing.assert_allclose(interpolate.slerp(first, first, shares=np.array([0.3])), [first])


@pytest.mark.slow
def test_interpolation_writes_a_strip_and_animations(tiny_run, tmp_path):
    pytest.importorskip("imageio_ffmpeg", reason="MP4 needs imageio-ffmpeg")
    asked = config.SampleConfig(
        run=tiny_run, interpolate=True, seeds="0,1", classes="1", frames=4, out=str(tmp_path / "a")
    )
    written = sample.sample(asked, io.StringIO())
    assert written == [str(tmp_path / f"a.{kind}") for kind in ("png", "gif", "mp4")]
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 6  # 4 there, 2 back
        assert gif.size == (128, 128)
    assert b"ftyp" in (tmp_path / "a.mp4").read_bytes()[:16]
    with Image.open(tmp_path / "a.png") as strip:
        assert strip.width == 4 * (128 + 4)
