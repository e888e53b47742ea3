import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow.errors import UsageError
from petalflow.source.pinned import pin, unpin


@given(st.text(min_size=1), st.text("0123456789abcdef", min_size=1))
def test_what_is_pinned_comes_apart_again(address: str, fingerprint: str) -> None:
    assert unpin(pin(address, fingerprint)) == (address, fingerprint)


@pytest.mark.parametrize("text", ["", "/photos", "@sha256:f00d", "/photos@sha256:"])
def test_what_is_not_pinned_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="has no fingerprint"):
        unpin(text)
