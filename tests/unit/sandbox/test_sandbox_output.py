from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox.output import Lines, Output, Tail


@given(st.lists(st.binary(max_size=20).map(lambda chunk: chunk.replace(b"0", b"\n"))))
def test_lines_do_not_depend_on_how_the_stream_was_cut(chunks: list[bytes]) -> None:
    lines: list[bytes] = []
    cutter = Lines(lines.append)
    for chunk in chunks:
        cutter.feed(chunk)
    cutter.close()
    whole = b"".join(chunks).split(b"\n")
    assert lines == (whole if whole[-1] else whole[:-1])


def test_an_overlong_line_is_cut_and_the_next_one_is_whole() -> None:
    lines: list[bytes] = []
    cutter = Lines(lines.append, longest=4)
    for chunk in (b"ab", b"cdef", b"gh\nij", b"k\n", b"lmnopq"):
        cutter.feed(chunk)
    cutter.close()
    assert lines == [b"abcd", b"ijk", b"lmno"]


def test_the_tail_is_counted_in_characters() -> None:
    tail = Tail()
    tail.feed("😀".encode() * 5_000 + b"end")
    assert tail.text == "😀" * 3_997 + "end"


def test_a_tail_that_starts_within_a_character_is_still_text() -> None:
    tail = Tail()
    tail.feed("é".encode()[1:] + b"\xffok")
    assert tail.text == "��ok"


def test_all_output_is_counted() -> None:
    output = Output(lambda _: None)
    output.stdout(b"12345")
    output.stderr(b"678")
    assert (output.size, output.tail) == (8, "678")
