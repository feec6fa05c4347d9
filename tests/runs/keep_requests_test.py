import os
import time

import pytest

from sagan_tf import errors
from sagan_tf.runs import keep_requests


def test_nothing_is_kept_where_nobody_asks(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("")
    assert keep_requests.first_step_to_keep(str(tmp_path)) == float("inf")


def test_first_of_several_requests_counts(tmp_path):
    one = keep_requests.KeepRequest(str(tmp_path), "one")
    assert keep_requests.first_step_to_keep(str(tmp_path)) == 0
    other = keep_requests.KeepRequest(str(tmp_path), "other")
    one.move(2)
    other.move(4)
    assert keep_requests.first_step_to_keep(str(tmp_path)) == 2
    one.withdraw()
    one.withdraw()
    assert keep_requests.first_step_to_keep(str(tmp_path)) == 4
    other.withdraw()
    assert keep_requests.first_step_to_keep(str(tmp_path)) == float("inf")
    assert os.listdir(tmp_path) == []


def test_request_expires_after_a_day(tmp_path):
    request = keep_requests.KeepRequest(str(tmp_path), "one")
    for hours, expected in ((23, 0), (25, float("inf"))):
        then = time.time() - hours * 3600
        os.utime(tmp_path / "keep-for-one.json", (then, then))
        assert keep_requests.first_step_to_keep(str(tmp_path)) == expected
    request.withdraw()


def test_request_is_renewed_while_its_process_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(keep_requests, "_RENEWED_SECONDS", 0.05)
    request = keep_requests.KeepRequest(str(tmp_path), "one")
    path = tmp_path / "keep-for-one.json"
    os.utime(path, (0, 0))
    while path.stat().st_mtime == 0:
        time.sleep(0.01)
    request.withdraw()
    time.sleep(0.2)
    assert not path.exists()


@pytest.mark.parametrize("text", ["damaged", "{}", "[]", '{"from_step": null}'])
def test_file_that_is_no_request_is_ignored(tmp_path, text):
    (tmp_path / "keep-for-nobody.json").write_text(text)
    assert keep_requests.first_step_to_keep(str(tmp_path)) == float("inf")


def test_directory_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(errors.UserError, match="gone: cannot be written to"):
        keep_requests.KeepRequest(str(tmp_path / "gone"), "one")
