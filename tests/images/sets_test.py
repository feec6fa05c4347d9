import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from sagan_tf import errors
from sagan_tf.images import sets
from tests.testing import NO_DISK, random_images, small_disk

IMAGES, LABELS = random_images(10, 16), np.arange(10) % 3


def write(path):
    with sets.Writer(str(path), 10, size=16) as writer:
        for start in range(0, 10, 4):
            writer.add(IMAGES[start : start + 4], LABELS[start : start + 4])
    return str(path)


def read(path, batch_size=3):
    found = sets.open_images(str(path))
    return found, np.concatenate(list(found.batches(batch_size)))


def test_npz_is_what_numpy_reads_and_comes_back(tmp_path):
    path = write(tmp_path / "new" / "samples.npz")
    with np.load(path) as archive:
        np.testing.assert_array_equal(archive["arr_0"], IMAGES)
        np.testing.assert_array_equal(archive["arr_1"], LABELS)
    found, images = read(path)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(found.labels, LABELS)
    assert (found.count, found.size) == (10, (16, 16))


def test_pictures_come_back_with_the_labels_of_their_folders(tmp_path):
    path = write(tmp_path / "samples")
    found, images = read(path)
    order = np.argsort(LABELS, kind="stable")
    np.testing.assert_array_equal(images, IMAGES[order])
    np.testing.assert_array_equal(found.labels, LABELS[order])


def test_pictures_in_no_numbered_folders_have_no_labels(tmp_path):
    for name in ("b.png", "a.png"):
        Image.fromarray(IMAGES[(name == "b.png" and 1) or 0]).save(tmp_path / name)
    Image.fromarray(IMAGES[0][..., 0]).save(tmp_path / "c.png")  # Grey.
    (tmp_path / "notes.txt").write_text("no picture")
    found, images = read(tmp_path)
    assert found.labels is None
    np.testing.assert_array_equal(images[:2], IMAGES[:2])
    np.testing.assert_array_equal(images[2], np.repeat(IMAGES[0][..., :1], 3, -1))


@pytest.mark.parametrize("ending", ["webp", "BMP", "tif", "ppm", "tga"])
def test_pictures_of_other_formats_are_read_too(tmp_path, ending):
    kind = {"tif": "tiff"}.get(ending)
    Image.fromarray(IMAGES[0]).save(tmp_path / "a.png")
    Image.fromarray(IMAGES[1]).save(tmp_path / f"b.{ending}", kind, lossless=True)
    _, images = read(tmp_path)
    np.testing.assert_array_equal(images, IMAGES[:2])


@pytest.mark.parametrize(
    "folders", [("20261121123456", "7"), ("1234567", "7"), ("-1", "7"), ("٣", "7"), ("cat", "7")]
)
def test_folders_that_are_no_class_numbers_give_no_labels(tmp_path, folders):
    for name in folders:
        (tmp_path / name).mkdir()
        Image.fromarray(IMAGES[0]).save(tmp_path / name / "a.png")
    found = sets.open_images(str(tmp_path))
    assert found.labels is None
    assert found.count == 2


def test_folders_of_six_digits_are_labels(tmp_path):
    for name in ("999999", "000012"):
        (tmp_path / name).mkdir()
        Image.fromarray(IMAGES[0]).save(tmp_path / name / "a.png")
    np.testing.assert_array_equal(sets.open_images(str(tmp_path)).labels, [12, 999999])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("numbers", [[1, 2, 3, 6, 9], [4], [0, 8], []])
def test_npz_gives_the_images_asked_for(tmp_path, save, numbers):
    save(tmp_path / "s.npz", arr_0=IMAGES)
    found = sets.open_images(str(tmp_path / "s.npz"))
    batches = list(found.batches(2, np.array(numbers, int)))
    assert list(map(len, batches)) == [2] * (len(numbers) // 2) + [1] * (len(numbers) % 2)
    np.testing.assert_array_equal(np.concatenate([IMAGES[:0], *batches]), IMAGES[numbers])


def test_directory_reads_the_pictures_asked_for_and_no_others(tmp_path):
    for number in (1, 4, 5):
        Image.fromarray(IMAGES[number]).save(tmp_path / f"{number}.png")
    Image.fromarray(IMAGES[0]).save(tmp_path / "0.png")
    for number in (2, 3):
        (tmp_path / f"{number}.png").write_bytes(b"nothing")
    found = sets.open_images(str(tmp_path))
    batches = list(found.batches(2, np.array([1, 4, 5])))
    assert list(map(len, batches)) == [2, 1]
    np.testing.assert_array_equal(np.concatenate(batches), IMAGES[[1, 4, 5]])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_of_biggan_has_channels_first(tmp_path, save):
    save(tmp_path / "theirs.npz", x=IMAGES.transpose(0, 3, 1, 2), y=LABELS)
    found, images = read(tmp_path / "theirs.npz")
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(found.labels, LABELS)


@pytest.mark.parametrize("name", ["s.npz", "directory"])
def test_writer_that_fails_leaves_nothing(tmp_path, name):
    def fail(writer):
        writer.add(IMAGES[:4], LABELS[:4])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), sets.Writer(str(tmp_path / name), 10, size=16) as writer:
        fail(writer)
    assert not list(tmp_path.iterdir())


def refusal(path, *content):
    """The one line that a writer of these images and labels refuses with."""

    def write_all():
        with sets.Writer(str(path), 10, size=16) as writer:
            assert content, "nothing is to be generated for it"
            writer.add(*content)

    with pytest.raises(errors.UserError) as error:
        write_all()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_directory_that_is_not_empty_is_not_written_into(tmp_path):
    write(tmp_path / "samples")
    before = sorted(tmp_path.rglob("*"))
    assert refusal(tmp_path / "samples") == (
        f"--save_samples={tmp_path}/samples: it is not empty (3 inside); expected a new or empty "
        "directory"
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_empty_directory_is_written_into(tmp_path):
    (tmp_path / "samples").mkdir()
    write(tmp_path / "samples")
    assert len(list(tmp_path.glob("samples/*/*.png"))) == 10


def test_npz_that_is_a_directory_is_refused_at_once(tmp_path):
    (tmp_path / "s.npz").mkdir()
    assert refusal(tmp_path / "s.npz").startswith(
        f"--save_samples={tmp_path}/s.npz: there is a directory of this name; expected the name of"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["s.npz"]


@pytest.mark.parametrize("name", ["file/s.npz", "file/samples", "file"])
def test_path_that_cannot_be_made_is_refused_at_once(tmp_path, name):
    (tmp_path / "file").write_text("a file")
    assert refusal(tmp_path / name).startswith(
        f"--save_samples={tmp_path}/{name}: cannot be written to ("
    )
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["s.npz", "samples"])
def test_full_disk_is_one_line_that_names_the_flag(tmp_path, name):
    with small_disk(tmp_path / "disk", "64k") as disk:
        if not disk:
            pytest.skip(NO_DISK)
        message = refusal(disk / name, random_images(100, 64), np.zeros(100, int))
        assert not list(disk.glob("*.npz*"))
    assert message.startswith(f"--save_samples={disk}/{name}: cannot be written to (")
    assert "No space left on device" in message


def test_disk_that_is_full_at_the_end_leaves_no_npz(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(np.lib.format, "write_array", fail)
    assert refusal(tmp_path / "s.npz", IMAGES, LABELS).startswith(
        f"--save_samples={tmp_path}/s.npz: cannot be written to (no space left)"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": IMAGES}, "it holds other.npy"),
        ({"images": IMAGES.astype(np.float32)}, "got float32 .10, 16, 16, 3. as images"),
        ({"images": IMAGES[..., 0]}, "got uint8 .10, 16, 16. as images"),
        ({"images": IMAGES[:0]}, "got uint8 .0, "),
        ({"images": IMAGES, "labels": LABELS[:3]}, "3 labels for 10 images"),
        (
            {"images": IMAGES, "labels": LABELS - 1},
            "a label is -1; expected class numbers from 0 on",
        ),
        (
            {"images": IMAGES, "labels": LABELS + 999_998},
            "a label is 1000000; expected class numbers",
        ),
        ({"images": IMAGES, "labels": LABELS + 2**40}, "a label is 1099511627776; expected class"),
        ({"images": IMAGES, "labels": LABELS + 0.5}, "a label is 0.5; expected class numbers"),
        ({"images": IMAGES, "labels": LABELS.astype(str)}, "a label is 0; expected class numbers"),
        ({"images": IMAGES[:, :12]}, "images of 12 x 16 pixels; expected square ones"),
        (
            {"x": IMAGES.transpose(0, 3, 1, 2)[..., :12]},
            "images of 16 x 12 pixels; expected square",
        ),
    ],
)
def test_unfit_npz_is_one_line(tmp_path, content, message):
    np.savez(tmp_path / "s.npz", **content)
    with pytest.raises(errors.UserError, match=f"--images={tmp_path}/s.npz: .*{message}") as error:
        sets.open_images(str(tmp_path / "s.npz"))
    assert "\n" not in str(error.value)


def test_what_is_no_npz_is_one_line(tmp_path):
    (tmp_path / "s.npz").write_bytes(b"nothing")
    (tmp_path / "empty").mkdir()
    for name in ("s.npz", "empty", "absent"):
        with pytest.raises(errors.UserError, match="expected a directory of pictures") as error:
            sets.open_images(str(tmp_path / name))
        assert "\n" not in str(error.value)


def test_damaged_npz_names_the_place(tmp_path):
    np.savez(tmp_path / "s.npz", arr_0=IMAGES)
    content = bytearray((tmp_path / "s.npz").read_bytes())
    content[-2000] ^= 1
    (tmp_path / "s.npz").write_bytes(bytes(content))
    with pytest.raises(errors.UserError, match="damaged after image 5 .Bad CRC"):
        read(tmp_path / "s.npz", 4)


def test_npz_whose_data_end_early_names_the_place(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": IMAGES.shape}
    )
    with zipfile.ZipFile(tmp_path / "s.npz", "w") as archive:
        archive.writestr("arr_0.npy", header.getvalue() + IMAGES[:5].tobytes())
    with pytest.raises(errors.UserError, match="damaged after image 5"):
        read(tmp_path / "s.npz", 4)


def test_picture_that_cannot_be_read_is_named(tmp_path):
    Image.fromarray(IMAGES[0]).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"nothing")
    with pytest.raises(errors.UserError, match=f"{tmp_path}/b.png: expected a picture") as error:
        read(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("place", [0.3, 0.5, 0.9])
def test_flipped_byte_of_a_compressed_npz_is_one_line(tmp_path, place):
    np.savez_compressed(tmp_path / "s.npz", arr_0=IMAGES)
    content = bytearray((tmp_path / "s.npz").read_bytes())
    content[int(len(content) * place)] ^= 0xFF
    (tmp_path / "s.npz").write_bytes(bytes(content))
    with pytest.raises(errors.UserError, match=f"--images={tmp_path}/s.npz: ") as error:
        read(tmp_path / "s.npz")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("arr_0.npy", r"damaged after image \d+ .Error -3 while decompressing"),
        ("arr_1.npy", "expected a directory of pictures, .* .Error -3 while decompressing"),
    ],
)
def test_compressed_data_that_do_not_unfold_are_one_line(tmp_path, entry, message):
    # Random bytes do not shrink: deflate stores them, in blocks of up to 64 KiB.
    arrays = {"arr_0": random_images(500, 16), "arr_1": random_images(500, 16)}
    if entry == "arr_0.npy":
        arrays["arr_1"] = np.arange(500)
    np.savez_compressed(tmp_path / "s.npz", **arrays)
    with zipfile.ZipFile(tmp_path / "s.npz") as archive:
        found = archive.getinfo(entry)
    content = bytearray((tmp_path / "s.npz").read_bytes())
    middle = found.header_offset + found.compress_size // 2
    content[middle : middle + 70_000] = b"\xff" * 70_000  # No block begins like that.
    (tmp_path / "s.npz").write_bytes(bytes(content))
    with pytest.raises(errors.UserError, match=message) as error:
        read(tmp_path / "s.npz")
    assert "\n" not in str(error.value)


def test_damage_where_other_images_are_is_noticed(tmp_path):
    np.savez(tmp_path / "s.npz", arr_0=IMAGES)
    content = bytearray((tmp_path / "s.npz").read_bytes())
    content[-2000] ^= 1
    (tmp_path / "s.npz").write_bytes(bytes(content))
    found = sets.open_images(str(tmp_path / "s.npz"))
    with pytest.raises(errors.UserError, match="damaged after image 5 .Bad CRC"):
        list(found.batches(4, np.array([0, 1])))


def test_pictures_that_are_not_square_are_refused_at_opening(tmp_path):
    Image.fromarray(IMAGES[0][:12]).save(tmp_path / "a.png")
    with pytest.raises(errors.UserError) as error:
        sets.open_images(str(tmp_path))
    assert str(error.value) == (
        f"--images={tmp_path}/a.png: images of 12 x 16 pixels; expected square ones"
    )


def save_deep_rgb(path):
    """A PNG of 16 bits a channel in colour, which Pillow reads and does not write."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    lines = b"".join(b"\0" + bytes(16 * 3 * 2) for _ in range(16))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("save", "mode"),
    [
        (lambda path: Image.fromarray(IMAGES[0, ..., 0].astype(np.uint16) * 256).save(path), "I"),
        (
            lambda path: Image.fromarray(IMAGES[0, ..., 0].astype(np.float32)).save(path, "tiff"),
            "F",
        ),
        (save_deep_rgb, "RGB;16B"),
    ],
)
def test_more_than_eight_bits_a_channel_are_refused(tmp_path, save, mode):
    Image.fromarray(IMAGES[0]).save(tmp_path / "a.png")
    save(tmp_path / "b.png")
    with pytest.raises(
        errors.UserError,
        match=(f"^{tmp_path}/b.png: it has mode {mode}.*; expected 8 bits a channel$"),
    ):
        read(tmp_path)


def with_alpha(mode, alpha):
    """The first image in a mode with transparency; its first pixel has this opacity."""
    if mode == "P":
        image = Image.fromarray(IMAGES[0]).quantize(16)
        image.info["transparency"] = bytes(
            [alpha if i == image.getpixel((0, 0)) else 255 for i in range(16)]
        )
        return image
    image = Image.fromarray(IMAGES[0]).convert(mode)
    opacity = Image.new("L", image.size, 255)
    opacity.putpixel((0, 0), alpha)
    image.putalpha(opacity)
    return image


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_opaque_picture_with_an_alpha_channel_is_taken_as_rgb(tmp_path, mode):
    image = with_alpha(mode, 255)
    image.save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").has_transparency_data
    _, (pixels,) = read(tmp_path)
    np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGBA"))[..., :3])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_picture_with_a_transparent_pixel_is_refused(tmp_path, mode):
    with_alpha(mode, 254).save(tmp_path / "a.png")
    with pytest.raises(errors.UserError) as error:
        sets.open_images(str(tmp_path))
    assert str(error.value) == (
        f"{tmp_path}/a.png: it has mode {mode} and transparent pixels; expected opaque ones"
    )
