"""Cuts the text of a template into tokens, as Go's text/template/parse does.

Regular expressions recognise single tokens (a blank, a name, a literal) and nothing larger; what
tokens mean together is the parser's business.
"""

from __future__ import annotations

import re
import unicodedata

from leasekeeper.templates.golang.quoting import quote
from leasekeeper.templates.golang.tokens import Token, TokenKind

SPACES = " \t\r\n"
_TRIM_MARKER = "-"
_COMMENT_START, _COMMENT_END = "/*", "*/"


_KEYWORDS = {
    "block": TokenKind.BLOCK,
    "break": TokenKind.BREAK,
    "continue": TokenKind.CONTINUE,
    "define": TokenKind.DEFINE,
    "else": TokenKind.ELSE,
    "end": TokenKind.END,
    "if": TokenKind.IF,
    "nil": TokenKind.NIL,
    "range": TokenKind.RANGE,
    "template": TokenKind.TEMPLATE,
    "with": TokenKind.WITH,
    "true": TokenKind.BOOL,
    "false": TokenKind.BOOL,
}
_SINGLE = {"=": TokenKind.ASSIGN, "|": TokenKind.PIPE}
_ENDS_NAME = frozenset(" \t\r\n.,|:)(")

_SPACE = re.compile(r"[ \t\r\n]+")
_NAME = re.compile(r"\w+")
_STRING = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"')
_CHAR = re.compile(r"'(?:[^'\\\n]|\\[^\n])*'")
_NUMBER = re.compile(
    r"""[+-]?(?:
      0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?
    | 0[oO][0-7_]*(?:\.[0-7_]*)?
    | 0[bB][01_]*(?:\.[01_]*)?
    | [0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?
    )i?""",
    re.VERBOSE,
)


class _BadTokenError(Exception):
    """The text at hand is no token; the message is the syntax error."""


def tokenize(text: str, left: str, right: str) -> list[Token]:
    """Return the tokens of *text*, ended by EOF, or by ERROR where it makes no sense."""
    return _Lexer(text, left, right).run()


def _is_letter_or_digit(char: str) -> bool:
    return char == "_" or unicodedata.category(char) in _LETTERS_AND_DIGITS


_LETTERS_AND_DIGITS = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Nd"})


def _show_rune(char: str) -> str:
    """Return *char* as Go's ``%#U`` does: code point and character."""
    code = 0xFFFD if "\ud800" <= char <= "\udfff" else ord(char)
    shown = f" '{chr(code)}'" if chr(code).isprintable() else ""
    return f"U+{code:04X}{shown}"


class _Lexer:
    def __init__(self, text: str, left: str, right: str) -> None:
        self._text = text
        self._left = left
        self._right = right
        self._at = 0
        self._line = 1
        self._tokens: list[Token] = []
        self._parens = 0

    def run(self) -> list[Token]:
        try:
            while self._text_until_action():
                self._action()
        except _BadTokenError as error:
            # The position is where the token that failed began.
            self._tokens.append(Token(TokenKind.ERROR, self._at, str(error), self._line))
        self._tokens.append(Token(TokenKind.EOF, len(self._text), "", self._line))
        return self._tokens

    def _emit(self, kind: TokenKind, end: int) -> None:
        at, text = self._at, self._text
        self._tokens.append(Token(kind, at, text[at:end], self._line))
        self._line += text.count("\n", at, end)
        self._at = end

    def _skip(self, end: int) -> None:
        self._line += self._text.count("\n", self._at, end)
        self._at = end

    # --- outside of actions -----------------------------------------------------------------

    def _text_until_action(self) -> bool:
        """Emit the text up to the next action and enter it; False at the end of everything."""
        text = self._text
        while True:
            start = text.find(self._left, self._at)
            if start < 0:
                if self._at < len(text):
                    self._emit(TokenKind.TEXT, len(text))
                return False
            inside = start + len(self._left)
            trims = text.startswith(_TRIM_MARKER, inside) and _blank(text, inside + 1)
            end = start
            if trims:
                end = self._at + len(text[self._at : start].rstrip(SPACES))
            if end > self._at:
                self._emit(TokenKind.TEXT, end)
            self._skip(start)
            after_marker = inside + 2 if trims else inside
            if text.startswith(_COMMENT_START, after_marker):
                self._skip(after_marker)
                self._comment()
                continue
            self._emit(TokenKind.LEFT_DELIM, inside)
            self._skip(after_marker)
            self._parens = 0
            return True

    def _comment(self) -> None:
        end = self._text.find(_COMMENT_END, self._at + len(_COMMENT_START))
        if end < 0:
            msg = "unclosed comment"
            raise _BadTokenError(msg)
        end += len(_COMMENT_END)
        delimiter, trims = self._right_delimiter(end)
        if not delimiter:
            msg = "comment ends before closing delimiter"
            raise _BadTokenError(msg)
        self._leave(end + delimiter, trims=trims)

    def _right_delimiter(self, at: int) -> tuple[int, bool]:
        """Return the length of the right delimiter at *at* (0: none), and whether it trims."""
        text = self._text
        if (
            text.startswith(_TRIM_MARKER, at + 1)
            and _blank(text, at)
            and text.startswith(self._right, at + 2)
        ):
            return len(self._right) + 2, True
        return (len(self._right), False) if text.startswith(self._right, at) else (0, False)

    def _leave(self, end: int, *, trims: bool) -> None:
        if trims:
            while _blank(self._text, end):
                end += 1
        self._skip(end)

    # --- inside of actions --------------------------------------------------------------------

    def _action(self) -> None:
        """Emit the tokens of one action, the right delimiter included."""
        while True:
            delimiter, trims = self._right_delimiter(self._at)
            if delimiter:
                if self._parens:
                    msg = "unclosed left paren"
                    raise _BadTokenError(msg)
                self._right_delim(trims=trims)
                return
            if self._at >= len(self._text):
                msg = "unclosed action"
                raise _BadTokenError(msg)
            char = self._text[self._at]
            if char in SPACES:
                self._space()
            else:
                self._token(char)

    def _right_delim(self, *, trims: bool) -> None:
        if trims:
            self._skip(self._at + 2)
        end = self._at + len(self._right)
        self._emit(TokenKind.RIGHT_DELIM, end)
        self._leave(end, trims=trims)

    def _space(self) -> None:
        """Emit a run of blanks, without the one that belongs to ``-}}``."""
        match = _SPACE.match(self._text, self._at)
        end = match.end() if match else self._at + 1
        if self._right_delimiter(end - 1)[1]:
            end -= 1
        self._emit(TokenKind.SPACE, end)

    def _token(self, char: str) -> None:
        following = self._text[self._at + 1 : self._at + 2]
        if char in _SINGLE:
            self._emit(_SINGLE[char], self._at + 1)
        elif char == ":":
            if following != "=":
                msg = "expected :="
                raise _BadTokenError(msg)
            self._emit(TokenKind.DECLARE, self._at + 2)
        elif char == '"':
            self._literal(_STRING, TokenKind.STRING, "unterminated quoted string")
        elif char == "`":
            self._raw_string()
        elif char == "'":
            self._literal(_CHAR, TokenKind.CHAR_CONSTANT, "unterminated character constant")
        elif char == "$":
            self._name(TokenKind.VARIABLE)
        elif char == "." and following and not "0" <= following <= "9":
            self._name(TokenKind.FIELD)
        elif char in ".+-" or "0" <= char <= "9":
            self._number()
        elif _is_letter_or_digit(char):
            self._identifier()
        elif char == "(":
            self._parens += 1
            self._emit(TokenKind.LEFT_PAREN, self._at + 1)
        elif char == ")":
            self._right_paren()
        elif char.isascii() and char.isprintable():
            self._emit(TokenKind.CHAR, self._at + 1)
        else:
            msg = f"unrecognized character in action: {_show_rune(char)}"
            raise _BadTokenError(msg)

    def _right_paren(self) -> None:
        self._parens -= 1
        if self._parens < 0:
            msg = "unexpected right paren"
            raise _BadTokenError(msg)
        self._emit(TokenKind.RIGHT_PAREN, self._at + 1)

    def _literal(self, pattern: re.Pattern[str], kind: TokenKind, problem: str) -> None:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise _BadTokenError(problem)
        self._emit(kind, match.end())

    def _raw_string(self) -> None:
        end = self._text.find("`", self._at + 1)
        if end < 0:
            msg = "unterminated raw quoted string"
            raise _BadTokenError(msg)
        self._emit(TokenKind.RAW_STRING, end + 1)

    def _name_end(self, start: int) -> int:
        match = _NAME.match(self._text, start)
        if match is None:
            return start
        end, name = match.end(), match[0]
        if not name.isascii():
            odd = (at for at, char in enumerate(name) if not _is_letter_or_digit(char))
            end = start + next(odd, len(name))
        return end

    def _check_terminator(self, end: int) -> None:
        text = self._text
        if end < len(text) and text[end] not in _ENDS_NAME:
            if text.startswith(self._right, end):
                return
            msg = f"bad character {_show_rune(text[end])}"
            raise _BadTokenError(msg)

    def _name(self, kind: TokenKind) -> None:
        """Emit a field or a variable, or the dot or dollar alone."""
        end = self._name_end(self._at + 1)
        if end == self._at + 1 and kind is TokenKind.FIELD and self._ends_at(end):
            kind = TokenKind.DOT
        self._check_terminator(end)
        self._emit(kind, end)

    def _ends_at(self, at: int) -> bool:
        text = self._text
        return at >= len(text) or text[at] in _ENDS_NAME or text.startswith(self._right, at)

    def _identifier(self) -> None:
        end = self._name_end(self._at)
        self._check_terminator(end)
        word = self._text[self._at : end]
        self._emit(_KEYWORDS.get(word, TokenKind.IDENTIFIER), end)

    def _number(self) -> None:
        end = self._number_end(self._at)
        if self._text[end : end + 1] in ("+", "-"):
            end = self._number_end(end)
            if self._text[end - 1] != "i":
                self._bad_number(end)
            self._emit(TokenKind.COMPLEX, end)
        else:
            self._emit(TokenKind.NUMBER, end)

    def _number_end(self, start: int) -> int:
        match = _NUMBER.match(self._text, start)
        end = match.end() if match else start
        if end < len(self._text) and _is_letter_or_digit(self._text[end]):
            self._bad_number(end + 1)
        return end

    def _bad_number(self, end: int) -> None:
        msg = f"bad number syntax: {quote(self._text[self._at : end])}"
        raise _BadTokenError(msg)


def _blank(text: str, at: int) -> bool:
    return at < len(text) and text[at] in SPACES
