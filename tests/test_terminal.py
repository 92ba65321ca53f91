import pytest

from conformance.terminal import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pods is forbidden", "pods is forbidden"),
        ("für Ñandú 名前", "für Ñandú 名前"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("abc\u202ecba", "abc\\u202ecba"),
        ("line\u2028line", "line\\u2028line"),
        ("lone \udc80 surrogate", "lone \\udc80 surrogate"),
    ],
)
def test_what_acts_on_a_terminal_is_spelled_out(text: str, shown: str) -> None:
    assert plain(text) == shown
