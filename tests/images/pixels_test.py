import io

import numpy as np
from PIL import Image

from sagan_tf.images import pixels


def test_to_uint8_inverts_the_records_scaling():
    values = np.arange(256, dtype=np.uint8)
    scaled = values.astype(np.float32) * np.float32(2 / 255) - 1
    np.testing.assert_array_equal(pixels.to_uint8(scaled), values)


def test_to_uint8_clips():
    np.testing.assert_array_equal(pixels.to_uint8([-1.5, -1, 0.001, 1, 2]), [0, 0, 128, 255, 255])


def test_png_round_trip():
    values = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    decoded = np.asarray(Image.open(io.BytesIO(pixels.encode_png(values))))
    np.testing.assert_array_equal(decoded, values)
