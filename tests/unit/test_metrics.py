"""How many lines messages hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.metrics import count_lines

messages = st.lists(st.text(st.sampled_from("a\nb"), max_size=6).map(str.encode), max_size=6)


@given(messages)
def test_a_newline_at_the_end_of_a_message_begins_no_line(values: list[bytes]) -> None:
    """Each message has a line for each newline, and one more where text follows the last."""
    lines = sum(value.count(b"\n") + (not value.endswith(b"\n")) for value in values)
    assert count_lines(values) == lines
