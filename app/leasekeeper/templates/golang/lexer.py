"""Cuts the text of a template into tokens, as Go's text/template/parse does.

One regular expression knows every token that may stand inside of an action. Where it finds none,
and only there, the text is looked at character by character, for Go's words about what is wrong.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import dropwhile

from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.tokens import Token, TokenKind

SPACES = " \t\r\n"

_K = TokenKind
_KEYWORDS = {
    "block": _K.BLOCK,
    "break": _K.BREAK,
    "continue": _K.CONTINUE,
    "define": _K.DEFINE,
    "else": _K.ELSE,
    "end": _K.END,
    "if": _K.IF,
    "nil": _K.NIL,
    "range": _K.RANGE,
    "template": _K.TEMPLATE,
    "with": _K.WITH,
    "true": _K.BOOL,
    "false": _K.BOOL,
}


def tokenize(text: str, left: str, right: str) -> list[Token]:
    """Return the tokens of *text*, ended by EOF, or by ERROR where it makes no sense."""
    return _Lexer(text, left, right).run()


# --- patterns -----------------------------------------------------------------------------------

_KINDS = (
    _K.ERROR,  # groups count from 1
    _K.RIGHT_DELIM,
    _K.RIGHT_DELIM,
    _K.FIELD,
    _K.IDENTIFIER,
    _K.STRING,
    _K.VARIABLE,
    _K.DOT,
    _K.PIPE,
    _K.LEFT_PAREN,
    _K.RIGHT_PAREN,
    _K.DECLARE,
    _K.ASSIGN,
    _K.RAW_STRING,
    _K.CHAR_CONSTANT,
    _K.CHAR,
)
"""What each group of the pattern for tokens finds."""


@lru_cache(maxsize=8)
def _token_pattern(right: str) -> re.Pattern[str]:
    r"""Return the pattern of any token inside of an action but numbers, with the blanks after it.

    ``\w`` has a few characters more than Go's names. One at the start of the delimiter is left
    out; the lexer looks for the others.
    """
    stop = "" if _is_letter_or_digit(right[0]) else re.escape(right[0])
    right = re.escape(right)
    letter, ends = rf"[^\W{stop}]", rf"(?=[ \t\r\n.,|:)(]|{right}|\Z)"
    return re.compile(
        rf"""
        [ \t\r\n]-({right})[ \t\r\n]*+ | ({right}) | (?:
          (\.(?![0-9]){letter}++{ends})
        | ([^\W0-9{stop}]{letter}*+{ends})
        | ("[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+")
        | (\${letter}*+{ends})
        | (\.(?!{letter}|\Z){ends})
        | (\|)
        | (\()
        | (\))
        | (:=)
        | (=)
        | (`[^`]*+`)
        | ('[^'\\\n]*+(?:\\[^\n][^'\\\n]*+)*+')
        | ([]!#%&*,/;<>?@[\\^{{}}~])
        ) {_blanks(right)}
        """,
        re.VERBOSE,
    )


@lru_cache(maxsize=8)
def _number_pattern(right: str) -> re.Pattern[str]:
    """Return the pattern of a number and the blanks after it.

    Groups: the number; if it is complex, its second half.
    """
    number = r"""(?>[+-]?(?:
          0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?
        | 0[oO][0-7_]*(?:\.[0-7_]*)?
        | 0[bB][01_]*(?:\.[01_]*)?
        | [0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?
        )i?)"""
    start, blanks = r"(?=[-+0-9]|\.(?:[0-9]|\Z))", _blanks(re.escape(right))
    return re.compile(rf"{start}({number})((?=[-+]){number})?{blanks}", re.VERBOSE)


@lru_cache(maxsize=8)
def _edge_patterns(left: str, right: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of how to enter an action, and of how to leave a comment.

    Groups of the first: the marker that trims; the start of a comment.
    """
    left, right = re.escape(left), re.escape(right)
    return (
        re.compile(rf"{left}(-[ \t\r\n])?+(?:(/\*)|{_blanks(right)})"),
        re.compile(rf"[ \t\r\n]-{right}[ \t\r\n]*|{right}"),
    )


def _blanks(right: str) -> str:
    """Return the pattern of blanks, none of which may belong to a right delimiter."""
    return rf"(?:(?!{right})[ \t\r\n]+(?!-{right}))?"


_LETTERS_AND_DIGITS = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Nd"})


def _is_letter_or_digit(char: str) -> bool:
    return char == "_" or unicodedata.category(char) in _LETTERS_AND_DIGITS


# --- the lexer ----------------------------------------------------------------------------------

_NAMES = frozenset({_K.FIELD, _K.IDENTIFIER, _K.VARIABLE})
_PARENS = frozenset({_K.LEFT_PAREN, _K.RIGHT_PAREN})

_UNFINISHED = {
    ":": "expected :=",
    '"': "unterminated quoted string",
    "`": "unterminated raw quoted string",
    "'": "unterminated character constant",
}
"""What is wrong where these start no token."""


class _BadTokenError(Exception):
    """The text at *position* is no token; the message is the syntax error."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position


class _Lexer:
    def __init__(self, text: str, left: str, right: str) -> None:
        self._text = text
        self._left = left
        self._right = right
        self._entry, self._exit = _edge_patterns(left, right)
        self._token = _token_pattern(right)
        self._doubtful = _PARENS if text.isascii() else _PARENS | _NAMES
        self._tokens: list[Token] = []
        self._parens = 0

    def run(self) -> list[Token]:
        try:
            self._run()
            last = Token(_K.EOF, len(self._text), "")
        except _BadTokenError as error:
            last = Token(_K.ERROR, error.position, str(error))
        self._tokens.append(last)
        return self._tokens

    def _run(self) -> None:
        text, left, add = self._text, self._left, self._tokens.append
        at = 0
        while (start := text.find(left, at)) >= 0:
            entry = self._entry.match(text, start)
            assert entry is not None
            trims, comment = entry.groups()
            before = text[at:start].rstrip(SPACES) if trims else text[at:start]
            if before:
                add(Token(_K.TEXT, at, before))
            if comment:
                at = self._comment(entry.start(2))
            else:
                add(Token(_K.LEFT_DELIM, start, left))
                at = self._action(entry.end())
        if at < len(text):
            add(Token(_K.TEXT, at, text[at:]))

    def _comment(self, start: int) -> int:
        """Return where the text goes on after a comment."""
        end = self._text.find("*/", start + 2)
        if end < 0:
            raise _BadTokenError(start, "unclosed comment")
        leave = self._exit.match(self._text, end + 2)
        if leave is None:
            raise _BadTokenError(start, "comment ends before closing delimiter")
        return leave.end()

    def _action(self, at: int) -> int:
        """Add the tokens of the action whose inside starts at *at*; return where it ends."""
        text, add, match_token = self._text, self._tokens.append, self._token.match
        right, doubtful = _K.RIGHT_DELIM, self._doubtful
        while True:
            match = match_token(text, at)
            if match is None:
                at = self._number(at)
                continue
            group = match.lastindex or 0
            value, end = match[group], match.end()
            # Only a name can be a keyword.
            kind = _KEYWORDS.get(value) or _KINDS[group]
            if kind is right:
                if self._parens:
                    raise _BadTokenError(at, "unclosed left paren")
                add(Token(kind, match.start(group), value))
                return end
            if kind in doubtful:
                self._check(kind, at, value)
            add(Token(kind, at, value, end > at + len(value)))
            at = end

    def _number(self, start: int) -> int:
        """Add a number; return where the token after it starts.

        :raises _BadTokenError: if there is none.
        """
        match = _number_pattern(self._right).match(self._text, start)
        if match is None:
            raise _BadTokenError(start, self._problem(start))
        value, half = match[1] + (match[2] or ""), match[2]
        end = start + len(value)
        following = self._text[end : end + 1]
        if not (following and _is_letter_or_digit(following)):
            following = ""
        if following or (half and not half.endswith("i")):
            raise _BadTokenError(start, f"bad number syntax: {quote(value + following)}")
        kind = _K.COMPLEX if half else _K.NUMBER
        self._tokens.append(Token(kind, start, value, match.end() > end))
        return match.end()

    # --- doubts ---------------------------------------------------------------------------------

    def _check(self, kind: TokenKind, start: int, value: str) -> None:
        """Look at a token again.

        :raises _BadTokenError: if it is none.
        """
        if kind is _K.LEFT_PAREN:
            self._parens += 1
        elif kind is _K.RIGHT_PAREN:
            self._parens -= 1
            if self._parens < 0:
                raise _BadTokenError(start, "unexpected right paren")
        elif not all(map(_is_letter_or_digit, value.lstrip(".$"))):
            raise _BadTokenError(start, self._problem(start))

    def _problem(self, start: int) -> str:
        """Return what is wrong at *start*, where no token is."""
        char = self._text[start : start + 1]
        if not char:
            return "unclosed action"
        if char in _UNFINISHED:
            return _UNFINISHED[char]
        if char in ".$":
            return f"bad character {_show_rune(self._after_name(start + 1))}"
        if _is_letter_or_digit(char):
            return f"bad character {_show_rune(self._after_name(start))}"
        return f"unrecognized character in action: {_show_rune(char)}"

    def _after_name(self, start: int) -> str:
        """Return the character that follows the name at *start*."""
        return next(dropwhile(_is_letter_or_digit, self._text[start:]))


def _show_rune(char: str) -> str:
    """Return *char* as Go's ``%#U`` does: code point and character."""
    code = 0xFFFD if "\ud800" <= char <= "\udfff" else ord(char)
    shown = f" '{chr(code)}'" if chr(code).isprintable() else ""
    return f"U+{code:04X}{shown}"
