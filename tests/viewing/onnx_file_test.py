import importlib.util
import io

import numpy as np
import pytest

from sagan_tf import config, errors
from sagan_tf.viewing import export, onnx_file, trained


@pytest.mark.slow
def test_onnx_runtime_makes_the_images(plain_run, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    out = str(tmp_path / "M")
    stream = io.StringIO()
    export.export(config.ExportConfig(run=plain_run, out=out, onnx=True), stream)
    assert "generator.onnx" in (tmp_path / "M/README.md").read_text(encoding="utf-8")

    # Any number of images.
    session = onnxruntime.InferenceSession(
        f"{out}/generator.onnx", providers=["CPUExecutionProvider"]
    )
    network = trained.open_model(plain_run)
    for count in (1, 3):
        z = np.random.default_rng(count).normal(size=(count, 8)).astype(np.float32)
        labels = np.arange(count, dtype=np.int32)
        (images,) = session.run(["images"], {"z": z, "labels": labels})
        np.testing.assert_allclose(images, network.generate(z, labels), rtol=0, atol=1e-4)


def test_missing_packages_are_one_line(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else found(name)
    )
    with pytest.raises(errors.UserError, match="^--onnx: needs tf2onnx.*, not installed here; "):
        onnx_file.require_packages()
