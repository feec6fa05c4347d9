from sagan_tf.runs import history


def test_events_come_back_in_order(tmp_path):
    log = history.History(str(tmp_path))
    log.add(history.START, "step 0", step=0)
    log.add(history.WARNING, 'a "warning"', step=7)
    found = history.read(str(tmp_path))
    assert [(event["event"], event["text"], event["step"]) for event in found] == [
        ("start", "step 0", 0),
        ("warning", 'a "warning"', 7),
    ]
    assert found[0]["time"] <= found[1]["time"]


def test_line_that_was_cut_off_is_passed_over(tmp_path):
    (tmp_path / "history.jsonl").write_text('{"event": "start", "time": 1}\n{"event": "en')
    history.History(str(tmp_path)).add(history.END, "done")
    assert [event["event"] for event in history.read(str(tmp_path))] == ["start", "end"]


def test_without_a_file_there_are_no_events(tmp_path):
    assert history.read(str(tmp_path)) == []


def test_what_cannot_be_written_does_no_harm(tmp_path):
    (tmp_path / "history.jsonl").mkdir()
    history.History(str(tmp_path)).add(history.START)
    assert [path.name for path in tmp_path.rglob("*")] == ["history.jsonl"]
