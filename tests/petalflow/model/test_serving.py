from petalflow.model.serving import Serving


def test_json_is_canonical_and_read_as_it_was_written() -> None:
    serving = Serving(temperature=1.5, abstain_threshold=0.25)
    assert serving.to_json() == '{"abstain_threshold":0.25,"temperature":1.5}'
    assert Serving.from_json(serving.to_json()) == serving
    assert Serving.of_verdict({"temperature": 1.5, "abstain_threshold": 0.25, "accepted": True}) == serving
