"""The language of Go's text/template, as Vault Agent's templates use it.

From text to text::

    lexer -> tokens -> parser, pipelines -> nodes -> program, expressions -> Code -> machine -> text

`values` says what templates compute with, `functions` how they call functions; these two, and the
`machine.Run` that functions are given, are what the function library builds on. Behaviour and
error messages are those of Go 1.27; the places where they are not, on purpose, are: the value of a
secret never shows in an error, and what would take for ever ends.
"""
