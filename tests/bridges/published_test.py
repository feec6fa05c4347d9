import shlex

import pytest

from sagan_tf.bridges import published
from sagan_tf.config import PROTOCOLS, ImportConfig
from sagan_tf.config.imports import SOURCES


@pytest.mark.parametrize("source", SOURCES)
def test_listing_names_every_file(source):
    text = published.listing(source)
    for one in published.PUBLISHED:
        assert (one.url in text) == (one.source == source)
        if one.source == source:
            assert all(name in text for name in one.names)
            assert one.scores in text
    assert published.LICENCES[source] in text
    assert "Nothing is downloaded here." in text


def test_the_best_weights():
    """As mmgeneration's configs/sagan/README.md has them."""
    best = published.PUBLISHED[0]
    assert best.hashes == ("3f5686af",)
    assert best.url == (
        "https://download.openmmlab.com/mmgen/sagan/sagan_128_woReLUinplace_noaug_bigGAN_"
        "imagenet1k_b32x8_Glr1e-4_Dlr-4e-4_ndisc1_20210818_210232-3f5686af.pth"
    )
    assert best.scores == "IS 69.5350, FID 12.8295 at step 826,000"
    # Two generators of 42,017,412 numbers and a discriminator of 39,448,258, 4 bytes each.
    assert best.megabytes == (round((2 * 42_017_412 + 39_448_258) * 4e-6),)


def test_files_are_found_by_their_hash():
    path = "/somewhere/renamed.pth"
    assert published.find({path: "3f5686af" + 56 * "0"}) is published.PUBLISHED[0]
    assert published.find({path: 64 * "0"}) is None


def test_scores_of_sngan_projection():
    """As README_paper.md has them, and Table 2 of SAGAN's paper."""
    text = published.listing("sngan_projection")
    assert "IS 29.7, intra-FID 103.1 at step 450,000" in text
    assert "IS 36.8, intra-FID 92.4 at step 850,000" in text
    assert "IS 36.8, FID 27.62" in text
    assert "licence: code MIT; for weights none is stated" in text
    assert "--path=SNResNetProjectionDiscriminator_STEP.npz --to=run" in text
    assert "--protocol=sngan_projection" in text


@pytest.mark.parametrize("one", published.PUBLISHED, ids=lambda one: one.title)
def test_commands_have_flags_that_exist(one):
    commands = published.commands(one)
    words = shlex.split(next(line for line in commands if "import_weights" in line))
    flags = dict(word[2:].split("=", 1) for word in words if word.startswith("--"))
    assert set(flags) <= set(ImportConfig.__dataclass_fields__)
    assert flags["source"] == one.source
    protocol = shlex.split(commands[-1])[-1].removeprefix("--protocol=")
    assert protocol in PROTOCOLS
