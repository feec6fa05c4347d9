from sagan_tf import plurals


def test_one_has_no_s():
    assert plurals.counted(0, "shard") == "0 shards"
    assert plurals.counted(1, "shard") == "1 shard"
    assert plurals.counted(2, "class", "classes") == "2 classes"
    assert plurals.counted(1, "class", "classes") == "1 class"
    assert plurals.counted(1797, "row", form=",") == "1,797 rows"
