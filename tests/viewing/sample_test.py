import io
import os

import numpy as np
import pytest
from PIL import Image

from sagan_tf import config, errors
from sagan_tf.images import pixels as images_pixels
from sagan_tf.viewing import sample as viewing_sample
from sagan_tf.viewing import trained
from tests.processes import run

pytestmark = pytest.mark.usefixtures("open_once")


@pytest.fixture(name="network", scope="module")
def fixture_network(tiny_run, open_once):
    return trained.open_model(tiny_run)


def sample(run_dir, **options):
    stream = io.StringIO()
    written = viewing_sample.sample(config.SampleConfig(run=str(run_dir), **options), stream)
    return written, stream.getvalue()


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.slow
def test_single_files_carry_class_and_seed(tiny_run, network, tmp_path):
    written, said = sample(tiny_run, classes="goldfish,2", seeds="5,8", out=str(tmp_path / "out"))
    assert written == [str(tmp_path / "out"), str(tmp_path / "out.png")]
    assert said.startswith("step 5 of ")
    names = sorted(
        os.path.relpath(os.path.join(folder, name), tmp_path / "out")
        for folder, _, found in os.walk(tmp_path / "out")
        for name in found
    )
    assert names == ["0001/000005.png", "0001/000008.png", "0002/000005.png", "0002/000008.png"]
    z, _ = network.draw([8])
    expected = images_pixels.to_uint8(network.generate(z, [1]))[0].astype(int)
    assert np.abs(pixels(tmp_path / "out/0001/000008.png") - expected).max() <= 1


@pytest.mark.slow
def test_sheet_has_a_row_for_each_class_and_a_column_for_each_seed(tiny_run, network, tmp_path):
    sample(tiny_run, sheet=True, classes="0-2", seeds="3-6", out=str(tmp_path / "a.png"))
    found = pixels(tmp_path / "a.png").astype(int)
    z, _ = network.draw([4])
    expected = (
        images_pixels.to_uint8(network.generate(z, [2]))[0].repeat(2, 0).repeat(2, 1).astype(int)
    )
    height, width = found.shape[:2]
    # From the right and from below, where there are no names: 64 pixels and a gap of 2 each.
    tile = found[height - 66 : height - 2, width - 3 * 66 : width - 3 * 66 + 64]
    assert np.abs(tile - expected).max() <= 1


@pytest.mark.slow
def test_npz_of_a_count_has_the_drawn_classes(tiny_run, network, tmp_path):
    (path,), _ = sample(tiny_run, count=45, out=str(tmp_path / "a.npz"))
    archive = np.load(path)
    z, labels = network.draw(range(45))
    assert archive["arr_0"].shape == (45, 32, 32, 3)
    np.testing.assert_array_equal(archive["arr_1"], labels)
    np.testing.assert_array_equal(archive["seeds"], np.arange(45))
    expected = images_pixels.to_uint8(network.generate(z, labels)).astype(int)
    assert np.abs(archive["arr_0"] - expected).max() <= 1
    (path,), _ = sample(tiny_run, count=5, classes="2,0", out=str(tmp_path / "b.npz"))
    np.testing.assert_array_equal(np.load(path)["arr_1"], [2, 0, 2, 0, 2])


@pytest.mark.slow
def test_average_is_another_generator(tiny_run, tmp_path):
    found = []
    for use_ema in (False, True):
        (path,), _ = sample(tiny_run, count=2, use_ema=use_ema, out=str(tmp_path / "a.npz"))
        found.append(np.load(path)["arr_0"].astype(int))
    assert np.abs(found[0] - found[1]).max() > 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"classes": "goldfsh"},
            "--classes=goldfsh: no such class; did you mean 1 n01443537",
        ),
        ({"step": 7}, "--step=7: "),
        (
            {"interpolate": True, "seeds": "1"},
            "--interpolate needs two --seeds or two --classes",
        ),
        (
            {"interpolate": True, "seeds": "1-3"},
            "--seeds=1-3: --interpolate takes one or two, not 3",
        ),
        ({"out": "{tmp}/file/a.png"}, "--out={tmp}/file/a.png: cannot be written to"),
        ({"out": "{tmp}/full"}, "--out={tmp}/full: it is not empty (1 inside)"),
        (
            {"out": "{tmp}/taken"},
            "--out={tmp}/taken: {tmp}/taken.png, the file of their grid, exists",
        ),
        (
            {"seeds": "0-3000", "out": "{tmp}/a.png"},
            "--out={tmp}/a.png: a grid of 9003 images is too",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(tiny_run, tmp_path, options, message):
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a").write_text("")
    (tmp_path / "taken.png").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    options = {
        name: value.replace("{tmp}", str(tmp_path)) if isinstance(value, str) else value
        for name, value in options.items()
    }
    with pytest.raises(errors.UserError) as error:
        sample(tiny_run, **options)
    assert str(error.value).startswith(message.replace("{tmp}", str(tmp_path)))
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "taken.png").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"run": ""}, "--run="),
        ({"seeds": "1-"}, "--seeds=1-: expected numbers"),
        ({"seeds": "9-3"}, "--seeds=9-3: expected numbers"),
        ({"seeds": "0-2000000"}, "--seeds=0-2000000: expected at most 1000000 numbers"),
        ({"truncation": -1.0}, "--truncation=-1.0"),
        ({"out": "a.jpg"}, "--out=a.jpg: expected a name"),
        ({"out": "a.gif"}, "--out=a.gif"),
        ({"count": 3, "seeds": "1"}, "--count=3: expected 0"),
        ({"frames": 5}, "--frames=5: expected --interpolate"),
        ({"step": -2}, "--step=-2"),
        ({"seeds": "9" * 5000}, "--seeds=999"),
        ({"count": 10**13}, "--count=10000000000000: expected"),
        ({"interpolate": True, "frames": 5000}, "--frames=5000: expected at most 1000"),
        ({"out": "gs://a/b.png"}, "--out=gs://a/b.png: expected a place on this machine"),
        ({"out": "."}, "--out=.: expected a name"),
        ({"out": "a/.png"}, "--out=a/.png: expected"),
        ({"count": 3, "sheet": True}, "--sheet=True: expected none with --count"),
        ({"sheet": True, "out": "a.npz"}, "--sheet=True: expected none with --out=a.npz"),
        ({"truncation": 1e-9}, "--truncation=1e-09"),
    ],
)
def test_flags_are_checked_first(options, message):
    with pytest.raises(errors.UserError) as error:
        config.SampleConfig(**{"run": "x", **options})
    assert str(error.value).startswith(message)


@pytest.mark.process
@pytest.mark.slow
def test_command_takes_the_run_without_a_flag(tiny_run, tmp_path):
    code, out, err = run(
        "-m",
        "sagan_tf.tools.sample",
        tiny_run,
        "--seeds=1-3",
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert code == 0, err
    assert out == f"step 5 of {tiny_run}: samples.png\n"
    assert (tmp_path / "samples.png").exists()
