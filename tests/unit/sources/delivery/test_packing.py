"""Lines share messages if their times, UTF-8 and size allow it."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.sources.base import Batch
from app.sources.delivery.packing import Message, Packer

NOW = 1_700_000_000_000


def pack(packer: Packer, *batches: Batch) -> list[Message]:
    """All messages of the batches."""
    messages = [message for batch in batches for message in packer.add(batch, NOW)]
    return messages + list(packer.flush())


lines_of_bytes = st.lists(
    st.one_of(
        st.binary(max_size=12).map(lambda line: line.replace(b"\n", b" ")),
        st.lists(st.text("ab ", max_size=9), max_size=9).map(lambda w: " ".join(w).encode()),
    ),
    min_size=1,
    max_size=8,
)


@given(
    st.lists(st.tuples(lines_of_bytes, st.sampled_from([None, 1, 2])), max_size=8),
    st.integers(0, 60),
)
def test_words_lines_and_times_are_kept(
    batches: list[tuple[list[bytes], int | None]], size: int
) -> None:
    """Every line is in one message, with its time and in order, however lines are packed."""
    packer = Packer(size=size, limit=1000)
    messages = pack(packer, *(Batch.of(lines, timestamp_ms=moment) for lines, moment in batches))
    sent = [(line, moment or NOW) for lines, moment in batches for line in lines]
    received = [
        (line, message.timestamp_ms) for message in messages for line in message.value.split(b"\n")
    ]
    assert received == sent
    assert sum(message.lines for message in messages) == len(sent)


@given(lines_of_bytes)
def test_a_line_that_is_not_utf8_is_alone(lines: list[bytes]) -> None:
    """A worker rejects whole messages, so a bad line must not share one with others."""
    for message in pack(Packer(), Batch.of(lines)):
        try:
            message.value.decode()
        except UnicodeDecodeError:
            assert b"\n" not in message.value


def test_fast_lines_fill_messages_and_a_slow_one_goes_alone() -> None:
    """A message is full at its size; a flush sends the rest of the lines."""
    packer = Packer(size=100)
    full = list(packer.add(Batch.of([b"0123456789"] * 25), NOW))
    assert [message.lines for message in full] == [9, 9]
    assert [message.lines for message in packer.flush()] == [7]
    assert list(packer.flush()) == []


def test_size_0_packs_nothing() -> None:
    """With size 0 every line is a message, even an empty one."""
    messages = pack(Packer(size=0), Batch.of([b"a", b"", b"b"]), Batch.of([b"", b"c"]))
    assert [message.value for message in messages] == [b"a", b"", b"b", b"", b"c"]


def test_a_line_longer_than_a_message_is_cut_between_words() -> None:
    """It keeps its words and counts as one line; a word longer than a message is refused."""
    packer = Packer(size=50, limit=200)
    words = [f"word{n}" for n in range(100)]
    line = " ".join([*words, "x" * 300, "end"]).encode()
    messages = pack(packer, Batch.of([b"before", line, b"after"]))
    assert all(len(message.value) <= 200 for message in messages)
    sent = Counter(word for message in messages for word in message.value.decode().split())
    assert sent == Counter(["before", *words, "end", "after"])
    assert sum(message.lines for message in messages) == 3
    assert packer.refused == 1


def test_a_position_goes_with_the_last_message_of_its_batch() -> None:
    """A position may be acknowledged only together with the whole batch."""
    batches = [Batch.of([b"0123456789"] * 5, position=n) for n in (1, 2, 3)]
    messages = pack(Packer(size=30), *batches)
    assert [m.position for m in messages if m.position is not None] == [1, 2, 3]
    taken = 0
    for message in messages:
        taken += message.lines
        if message.position is not None:
            assert isinstance(message.position, int)
            assert taken >= 5 * message.position


def test_lines_with_newlines_in_them_count_as_their_source_counts() -> None:
    """Two texts of two rows each are two lines."""
    messages = pack(Packer(size=4), Batch.of(["a\nb", "c\nd"]))
    assert sum(message.lines for message in messages) == 2


def test_lines_of_different_headers_never_share_a_message() -> None:
    """The headers of a message belong to each of its lines."""
    one, other = (("host", b"a"),), (("host", b"b"),)
    messages = pack(
        Packer(),
        Batch.of(["1"], headers=one),
        Batch.of(["2"], headers=one),
        Batch.of(["3"], headers=other),
        Batch.of(["4"]),
    )
    assert [(message.value, message.headers) for message in messages] == [
        (b"1\n2", one),
        (b"3", other),
        (b"4", ()),
    ]


def test_lines_of_different_partition_keys_never_share_a_message() -> None:
    """The lines of a partition_key go to one partition, in order."""
    packer = Packer()
    batches = [
        Batch.of(["a"]),
        Batch(b"b", 1, partition_key=0),
        Batch(b"c", 1, partition_key=0),
        Batch(b"d", 1, partition_key=1),
    ]
    messages = [message for batch in batches for message in packer.add(batch, 1)]
    messages += packer.flush()
    assert [(message.value, message.partition_key) for message in messages] == [
        (b"a", None),
        (b"b\nc", 0),
        (b"d", 1),
    ]
