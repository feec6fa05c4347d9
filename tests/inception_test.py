import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, inception


def legacy_bilinear(image, size):
    """TensorFlow 1's resize_bilinear, align_corners=False: source = target * scale."""
    def axis(data, length):
        at = np.arange(size) * (length / size)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, length - 1)
        part = (at - low)[:, None, None]
        return data[low] * (1 - part) + data[high] * part

    rows = axis(image, image.shape[0])
    return axis(rows.transpose(1, 0, 2), image.shape[1]).transpose(1, 0, 2)


def make_graph(path, logits_name="logits"):
    """A graph in the form of the Inception graph of 2015-12-05, with another inside."""
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.float32, [None, 299, 299, 3], name="Mul")
        pool = tf.reduce_mean(images, [1, 2], keepdims=True)
        tf.identity(pool, name="pool_3")
        flat = tf.reshape(pool, [-1, 3])
        tf.matmul(flat, tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), name=logits_name)
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return str(path)


def test_digits_classifier_recognises_the_digits():
    from sagan_tf import dataset

    classifier = inception.load("data/digits_classifier")
    records = dataset.open_records("data/digits", 32, 10)
    ((images, labels),) = dataset.evaluation_batches(records, 200, 200, seed=0)
    pool, logits = classifier(dataset.to_float(images))
    assert pool.shape == (200, 64)
    assert logits.shape == (200, 10)
    assert (logits.numpy().argmax(1) == labels.numpy()).mean() >= 0.97


@pytest.mark.parametrize("logits_name", ["logits", "softmax/logits"])
def test_frozen_graph_of_2015(tmp_path, logits_name):
    classifier = inception.load(make_graph(tmp_path / "inception.pb", logits_name))
    image = np.random.default_rng(0).uniform(-1, 1, (128, 128, 3)).astype(np.float32)
    pool, logits = classifier(tf.constant(np.stack([image, -image])))
    expected = legacy_bilinear(image, 299).mean((0, 1))
    np.testing.assert_allclose(pool, [expected, -expected], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(logits[0], expected @ [[1, 2], [3, 4], [5, 6]], rtol=1e-4, atol=1e-5)


def test_results_do_not_depend_on_the_batch():
    classifier = inception.load("data/digits_classifier")
    images = tf.random.stateless_uniform([6, 32, 32, 3], [0, 0], -1, 1)
    whole = classifier(images)
    parts = [classifier(images[:2]), classifier(images[2:])]
    for index in range(2):
        np.testing.assert_allclose(whole[index], np.concatenate([p[index] for p in parts]),
                                   rtol=1e-5, atol=1e-5)


def test_graph_without_the_tensors_is_refused(tmp_path):
    with tf.Graph().as_default() as graph:
        tf.constant(1.0, name="other")
    (tmp_path / "g.pb").write_bytes(graph.as_graph_def().SerializeToString())
    with pytest.raises(config.UserError, match="no tensor Mul:0 or pool_3:0 or logits:0"):
        inception.load(str(tmp_path / "g.pb"))


def test_graph_for_one_image_only_is_refused(tmp_path):
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.float32, [None, 299, 299, 3], name="Mul")
        pool = tf.reduce_mean(images, [1, 2], keepdims=True)
        tf.identity(pool, name="pool_3")
        tf.matmul(tf.reshape(pool, [1, 3]), tf.ones([3, 2]), name="softmax/logits")
    (tmp_path / "g.pb").write_bytes(graph.as_graph_def().SerializeToString())
    with pytest.raises(config.UserError, match="pool_3 and logits for any number of images"):
        inception.load(str(tmp_path / "g.pb"))


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_damaged_saved_model_is_refused(tmp_path, content):
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(config.UserError, match="expected a SavedModel") as error:
        inception.load(str(tmp_path))
    assert "\n" not in str(error.value)


def test_file_that_is_no_graph_is_refused(tmp_path):
    (tmp_path / "g.pb").write_bytes(b"no graph")
    with pytest.raises(config.UserError, match="not a frozen graph"):
        inception.load(str(tmp_path / "g.pb"))


def test_saved_model_without_the_outputs_is_refused(tmp_path):
    module = tf.Module()
    module.serve = tf.function(lambda images: {"pool_3": tf.reduce_mean(images, [1, 2])},
                               input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32)])
    tf.saved_model.save(module, str(tmp_path), signatures=module.serve)
    with pytest.raises(config.UserError, match="outputs pool_3 and logits for any .*logits"):
        inception.load(str(tmp_path))


def test_missing_path_is_refused(tmp_path):
    with pytest.raises(config.UserError, match="expected a TF-Hub handle"):
        inception.load(str(tmp_path / "absent"))


def test_unreachable_hub_is_one_line():
    with pytest.raises(config.UserError, match="cannot be loaded from TF-Hub") as error:
        inception.load("https://127.0.0.1:9/inception/1")
    assert "\n" not in str(error.value)
