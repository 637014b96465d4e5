import registry


def test_call():
    assert registry.call("answer") == 6
