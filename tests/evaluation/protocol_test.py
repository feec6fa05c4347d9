import pytest

from sagan_tf.evaluation import protocol


def record(**changes):
    return {
        "name": "reference",
        "departures": {},
        "seed": 0,
        "real_split": "train",
        "real": {
            "source": "data",
            "images": 60,
            "split": "train",
            "fingerprint": "crc32c:0123456789abcdef",
        },
        "classifier": {
            "handle": "a",
            "sha256": "f" * 64,
            "input_size": 299,
            "resize": "legacy",
            "dtype": "float32",
        },
        "images": "uniform random labels",
        "versions": {"tensorflow": "2.21.0"},
        **changes,
    }


def test_records_of_other_places_and_versions_compare_and_others_do_not():
    moved = record(
        versions={"tensorflow": "2.22.0"},
        checkpoint_step=5,
        checkpoint_sha256="a",
        exported={"model": "M"},
        differs=["IS: ..."],
        real={**record()["real"], "source": "elsewhere"},
        classifier={**record()["classifier"], "handle": "b"},
    )
    assert protocol.same_protocol(record(), moved)
    assert protocol.protocol_name(record()) == protocol.protocol_name(moved)
    for other in (
        record(seed=1),
        record(real={**record()["real"], "fingerprint": "crc32c:1"}),
        record(classifier={**record()["classifier"], "sha256": "0" * 64}),
    ):
        assert not protocol.same_protocol(record(), other)
        assert protocol.protocol_name(record()) != protocol.protocol_name(other)


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [({"truncation": 0.5}, True), ({"truncation": 0.0}, False), ({}, False), (None, False)],
)
def test_record_says_whether_z_is_truncated(sampling, expected):
    assert protocol.is_truncated({"sampling": sampling}) is expected
    assert protocol.is_truncated({}) is False
