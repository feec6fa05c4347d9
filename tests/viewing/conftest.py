"""Runs and models that tests of several viewers share."""

import pytest

from sagan_tf import config
from sagan_tf.viewing import trained
from tests.testing import PLAIN_MODEL, make_run

AS_TRAINED = config.Sampling()


@pytest.fixture(scope="session")
def plain_run(tmp_path_factory):
    """The directory of a small run without attention, with a moving average."""
    return make_run(tmp_path_factory.mktemp("plain_run"), PLAIN_MODEL)


@pytest.fixture(scope="module")
def open_once():
    """Each model is opened, folded and traced once, however many viewers open it."""
    real = trained.open_model
    opened = {}

    def open_model(path, step=-1, *, use_ema=False, sampling=AS_TRAINED, batch_size=0, **options):
        key = (path, step, use_ema, sampling, batch_size)
        if key not in opened:
            options.update(use_ema=use_ema, sampling=sampling, batch_size=batch_size)
            opened[key] = real(path, step, **options)
        return opened[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trained, "open_model", open_model)
        yield
