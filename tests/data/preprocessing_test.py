import io
import json
import os
import struct

import numpy as np
import pytest
from PIL import Image

from sagan_tf.data import preprocessing
from sagan_tf.images import pixels as images_pixels
from tests.conftest import TESTDATA
from tests.testing import random_images

LEGACY = np.load(TESTDATA / "legacy.npz")
LEGACY_FACTS = json.loads((TESTDATA / "legacy.json").read_text())
CASES = sorted({key.split("/")[0] for key in LEGACY.files})


def file_of(image, kind="PNG", **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(
        buffer, kind, **options
    )
    return buffer.getvalue()


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("case", CASES)
def test_legacy_is_bit_for_bit_what_the_converter_made(case, size):
    """The original script's functions, run under Python 2.7 with SciPy 1.1.0 and Pillow 5.4.1."""
    data = LEGACY[f"{case}/file"].tobytes()
    if f"{case}/{size}" in LEGACY_FACTS["errors"]:
        with pytest.raises(preprocessing.Damaged):
            preprocessing.legacy(data, size)
    else:
        np.testing.assert_array_equal(preprocessing.legacy(data, size), LEGACY[f"{case}/{size}"])


def test_legacy_golden_covers_every_kind():
    kinds = {
        Image.open(io.BytesIO(LEGACY[f"{case}/file"].tobytes())).mode
        for case in CASES
        if f"{case}/32" not in LEGACY_FACTS["errors"]
    }
    assert {"L", "RGB", "RGBA", "P", "1", "CMYK"} <= kinds
    assert len(CASES) * 2 - len(LEGACY_FACTS["errors"]) == 104


def test_legacy_stretches_and_loses_by_hand():
    """2 x 2 pixels of 100, 110, 120, 130 become 0, 85, 170, 255, of which the truncation of
    (x/127.5 - 1 + 1) * 127.5 keeps these four."""
    pixels = np.repeat(np.array([[100, 110], [120, 130]], np.uint8)[..., None], 3, 2)
    assert preprocessing.legacy(file_of(pixels), 2)[..., 0].tolist() == [[0, 85], [170, 255]]
    # 10 of 0..255 comes back as 9 (9.999999999999998 is truncated).
    assert (10 / 127.5 - 1 + 1) * 127.5 < 10
    pixels[...] = np.array([[0, 10], [20, 255]], np.uint8)[..., None]
    assert preprocessing.legacy(file_of(pixels), 2)[..., 0].tolist() == [[0, 9], [20, 255]]


def test_clean_is_pillows_lanczos_of_the_centre():
    pixels = random_images(1, 90)[0][:60]
    expected = Image.fromarray(pixels[:, 15:75]).resize((32, 32), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(preprocessing.clean(file_of(pixels), 32), np.asarray(expected))


def test_clean_leaves_an_image_of_the_right_size_alone():
    (pixels,) = random_images(1, 64)
    np.testing.assert_array_equal(preprocessing.clean(file_of(pixels), 64), pixels)


COLOUR = (200, 100, 50)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (file_of(Image.new("L", (40, 40), 77)), (77, 77, 77)),
        (file_of(Image.new("1", (40, 40), 1)), (255, 255, 255)),
        (file_of(Image.new("RGB", (40, 40), COLOUR).quantize(4)), COLOUR),
        (file_of(Image.new("RGBA", (40, 40), (*COLOUR, 255))), COLOUR),
        # Half transparent on white: (200 + 255) / 2, and so on, to within rounding.
        (file_of(Image.new("RGBA", (40, 40), (*COLOUR, 128))), (227, 177, 152)),
        (file_of(Image.new("LA", (40, 40), (100, 0))), (255, 255, 255)),
        # Colour 0 of the palette is the transparent one.
        (file_of(Image.new("RGB", (40, 40), COLOUR).quantize(4), transparency=0), (255, 255, 255)),
        # 16 bits: 25700 / 257 = 100, 65535 / 257 = 255.
        (file_of(np.full((40, 40), 25700, np.uint16)), (100, 100, 100)),
        (file_of(np.full((40, 40), 65535, np.uint16)), (255, 255, 255)),
        # Inks: none at all is white, all of cyan and nothing else takes all red.
        (file_of(Image.new("CMYK", (40, 40), (0, 0, 0, 0)), "JPEG"), (255, 255, 255)),
        (file_of(Image.new("CMYK", (40, 40), (255, 0, 0, 0)), "JPEG"), (0, 255, 255)),
        (file_of(Image.new("RGB", (40, 40), COLOUR), "GIF"), COLOUR),
        (file_of(Image.new("RGB", (40, 40), COLOUR), "BMP"), COLOUR),
        (file_of(Image.new("RGB", (1, 50), COLOUR)), COLOUR),
        (file_of(Image.new("RGB", (1, 1), COLOUR)), COLOUR),
    ],
)
def test_clean_makes_rgb_of_any_mode(data, expected):
    np.testing.assert_allclose(
        preprocessing.clean(data, 32),
        np.broadcast_to(np.array(expected, float), (32, 32, 3)),
        atol=2,
    )


def test_clean_turns_as_exif_says():
    """Orientation 6: the picture is to be turned by 90 degrees clockwise."""
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:20] = 255  # white above; turned clockwise: white on the right
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = preprocessing.clean(file_of(pixels, "JPEG", exif=exif, quality=95), 32)
    assert turned[:, 20:].min() > 245
    assert turned[:, :12].max() < 10


def test_clean_turns_also_where_another_tag_is_damaged():
    # Two tags: the width, a text instead of a number, which Pillow could not write back; and 6.
    exif = b"Exif\0\0II*\0" + struct.pack(
        "<IHHHI4sHHIII", 8, 2, 0x0100, 2, 4, b"abc", 0x0112, 3, 1, 6, 0
    )
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:20] = 255
    data = file_of(pixels, "JPEG", exif=exif, quality=95)
    assert preprocessing.clean(data, 32)[:, 20:].min() > 245


def test_clean_turns_nothing_with_damaged_exif():
    (pixels,) = random_images(1)
    data = file_of(pixels, "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff\xff\xff")
    assert (
        preprocessing.prepare(
            preprocessing.ByteSource(data=data), preprocessing.ImageSettings("clean", 32, "raw")
        ).data
        is not None
    )


JPEG = file_of(random_images(1, 100)[0], "JPEG")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"this is a text", "not an image of a known format"),
        (JPEG[:200], "cannot be decoded: "),
        (JPEG[: len(JPEG) // 2], "cannot be decoded: image file is truncated"),
        (file_of(random_images(1, 100)[0])[:5000], "cannot be decoded: "),
    ],
)
@pytest.mark.parametrize("resize", ["clean", "legacy"])
def test_damaged_files_have_a_reason(data, reason, resize):
    picture = preprocessing.prepare(
        preprocessing.ByteSource(data=data), preprocessing.ImageSettings(resize, 32, "raw")
    )
    assert picture.data is None
    assert picture.reason.startswith(reason)
    assert "\n" not in picture.reason


def test_unreadable_places_have_a_reason(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # Opening it would wait for ever.
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    for name, reason in (
        ("pipe", "not a regular file"),
        ("loop", "unreadable: Too many levels"),
        ("nowhere", "unreadable: No such file"),
        (".", "not a regular file"),
    ):
        with pytest.raises(preprocessing.Damaged, match=reason):
            preprocessing.ByteSource(str(tmp_path / name)).read()


def test_place_is_a_part_of_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    assert preprocessing.ByteSource(str(tmp_path / "file"), 3, 4).read() == b"3456"
    assert preprocessing.ByteSource(str(tmp_path / "file")).read() == b"0123456789"


def test_sums_are_those_of_the_pixels():
    (pixels,) = random_images(1)
    picture = preprocessing.prepare(
        preprocessing.ByteSource(data=file_of(pixels)),
        preprocessing.ImageSettings("clean", 32, "raw"),
    )
    assert picture.data == pixels.tobytes()
    values = pixels.astype(int).reshape(-1, 3)
    assert picture.sum == tuple(values.sum(0))
    assert picture.sum_of_squares == tuple((values**2).sum(0))


def test_jpeg_keeps_the_resolution_of_colours():
    """4:4:4: one-pixel stripes of red and blue stay apart."""
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2, 0], stripes[:, 1::2, 2] = 200, 200
    decoded = np.asarray(Image.open(io.BytesIO(images_pixels.encode(stripes, "jpeg", quality=95))))
    assert np.abs(decoded.astype(int) - stripes).max() < 30
    assert len(images_pixels.encode(stripes, "jpeg", quality=30)) < len(
        images_pixels.encode(stripes, "jpeg", quality=95)
    )
