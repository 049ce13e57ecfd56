"""What Vault Agent prints for one call of a function: answers recorded from OpenBao 2.7.2.

Each line is a template and what the real agent made of it; ``! `` marks an error and what follows
``error calling NAME:`` in its message.
"""

from __future__ import annotations

import pytest

from leasekeeper.errors import TemplateRenderError
from leasekeeper.templates.functions import functions
from leasekeeper.templates.source import RenderContext
from leasekeeper.templates.template import Template

EFFECTS = [
    ("spew_dump 1", ""),
    ('spew_printf "%v" 1', ""),
]

SCRATCH = [
    ('scratch.MapSet "k" "a" 1', ""),
    ('scratch.MapSetX "k" "a" 2', ""),
    ('scratch.MapSetX "k" "b" 3', ""),
    ('scratch.MapValues "k"', "[]"),
    (
        'executeTemplate "x" 1 2',
        "! executeTemplate: wrong number of arguments, expected 1 or 2, but got 3",
    ),
]

FOUND_BY_COMPARISON = [
    ('sprig_title "\\xffa" | printf "%q"', '"�a"'),
    ('sprig_camelcase "\\xffa_b" | printf "%q"', '"�aB"'),
    ('toJSON (sprig_regexFindAll "x" "abc" -1)', "null"),
    ("sprig_concat | printf `%#v`", "[]interface {}(nil)"),
    ("sprig_round 1 400", "NaN"),
    ("sprig_mulf 0 -4", "0"),
    ("sprig_chunk -7 (sprig_list)", "! runtime error: makeslice: len out of range"),
    ('spew_sprintf "%T" 1 "a"', "*spew.formatState%!(EXTRA *spew.formatState=a)"),
    ('sprig_set nil "a" 1', "! assignment to entry in nil map"),
]

METHODS_OF_TIMES = [
    ('(sprig_toDate "2006-01-02" "2024-02-29").Add 3600000000000', "2024-02-29 01:00:00 +0000 UTC"),
    (
        '(sprig_toDate "2006-01-02" "2024-02-29").In nil',
        "! time: missing Location in call to Time.In",
    ),
    (
        '(sprig_toDate "2006-01-02T15:04:05Z07:00" "2024-02-29T01:02:03+05:30").UTC',
        "2024-02-28 19:32:03 +0000 UTC",
    ),
    (
        '(sprig_toDate "2006-01-02T15:04:05" "2024-02-29T13:02:03").Round 3600000000000',
        "2024-02-29 13:00:00 +0000 UTC",
    ),
    (
        '(sprig_toDate "2006-01-02T15:04:05" "2024-02-29T13:32:03").Round 3600000000000',
        "2024-02-29 14:00:00 +0000 UTC",
    ),
    (
        '(sprig_toDate "2006-01-02T15:04:05" "2024-02-29T13:32:03").Truncate 3600000000000',
        "2024-02-29 13:00:00 +0000 UTC",
    ),
    (
        '(sprig_toDate "2006-01-02" "2024-02-29").Compare (sprig_toDate "2006-01-02" "2024-03-01")',
        "-1",
    ),
    ('(sprig_toDate "2006-01-02" "2024-02-29").IsDST', "false"),
    (
        'printf "%#v" ((sprig_toDate "2006-01-02" "2024-02-29").UTC)',
        "time.Date(2024, time.February, 29, 0, 0, 0, 0, time.UTC)",
    ),
    (
        'printf "%#v" (sprig_toDate "2006-01-02T15:04:05Z07:00" "2024-02-29T01:02:03+05:30")',
        'time.Date(2024, time.February, 29, 1, 2, 3, 0, time.Location(""))',
    ),
    (
        '((sprig_toDate "2006-1-2" "2024-2-29").Sub (sprig_toDate "2006-1-2" "2024-3-1")).Abs',
        "24h0m0s",
    ),
    (
        '((sprig_toDate "15:04" "10:49").Sub (sprig_toDate "15:04" "12:20")).Milliseconds',
        "-5460000",
    ),
    (
        '((sprig_toDate "15:04" "10:50").Sub (sprig_toDate "15:04" "12:20")).Round 3600000000000',
        "-2h0m0s",
    ),
    (
        '((sprig_toDate "15:04" "10:49").Sub (sprig_toDate "15:04" "12:20")).Truncate 60000000000',
        "-1h31m0s",
    ),
    ('(sprig_toDate "15:04" "10:49").Sub (sprig_toDate "15:04" "12:20") | sprig_int64', "0"),
    ('(sprig_toDate "15:04" "10:49").Sub (sprig_toDate "15:04" "12:20") | toYAML', "-1h31m0s"),
    (
        '(sprig_toDate "15:04" "1:49").Sub (sprig_toDate "15:04" "3:20") | sprig_dict "t" | toTOML',
        't = "-1h31m0s"',
    ),
    (
        '(sprig_toDate "15:04" "10:49").Sub (sprig_toDate "15:04" "12:20") | toJSON',
        "-5460000000000",
    ),
]

ODDITIES = [
    (
        '(sprig_semver "1.2.3").Compare nil',
        "! runtime error: invalid memory address or nil pointer dereference",
    ),
    ('(sprig_semver "1.2.3").Equal nil', "false"),
    ('printf "%T" (sprig_semver "1.2.3").IncMajor', "semver.Version"),
    ('(sprig_semver "18446744073709551615.0.0").IncMajor', "0.0.0"),
    ('spew_sprintf "%*d|%-5s|" 5 1 "a"', "%!(BADWIDTH)1|a    |"),
    ('spew_sprintf "%05d %+.2f %[1]d" 7 1.5', "00007 +1.50 7"),
    ('spew_sprintf "%v" 1 nil "x"', "1%!(EXTRA *spew.formatState=<nil>, *spew.formatState=x)"),
    ('spew_sprintf "%.*v" 2 "x"', "%!(BADPREC)x"),
    ('sprig_snakecase "AB\\xffcD\\xfe" | printf "%q"', '"a_b�c_d�"'),
    ('sprig_kebabcase "Foo\\x80Bar" | printf "%q"', '"foo-�bar"'),
    ('sprig_snakecase "_\\xff-\\xff" | printf "%q"', '"_�_�"'),
    ('sprig_snakecase "Aǅ"', "aǅ"),
    ("sprig_randAlpha -1", ""),
    ("sprig_randBytes -1", "! runtime error: makeslice: len out of range"),
    ('sprig_genCAWithKey "ca" 1 "x"', "! parsing private key: no PEM data in input"),
]

FAULTS = [
    ('sprig_toPrettyJson (sprig_dict "é" (parseYAML "~: 1"))', ""),
    (
        'sprig_mustToDate "06" "é\\n\\""',
        '! parsing time "\\xc3\\xa9\\x0a\\"" as "06": cannot parse "\\xc3\\xa9\\x0a\\"" as "06"',
    ),
    (
        'sprig_mustToDate "2006-01-02\\n" "2020-01-02"',
        '! parsing time "2020-01-02" as "2006-01-02\\x0a": cannot parse "" as "\\x0a"',
    ),
    (
        'sprig_mustToDate "2006-01-02" "2020-13-02"',
        '! parsing time "2020-13-02": month out of range',
    ),
    (
        'sprig_mustToDate "2006-01-02" "2020-01-02é"',
        '! parsing time "2020-01-02\\xc3\\xa9": extra text: "\\xc3\\xa9"',
    ),
    (
        'sprig_decryptAES "abc" "0x1F"',
        "! runtime error: slice bounds out of range [:16] with capacity 3",
    ),
    (
        'sprig_decryptAES "abc" "AAAAAAAAAAAAAAAAAAAAAA=="',
        "! runtime error: index out of range [-1]",
    ),
    ('sprig_decryptAES "abc" "AAAAAAAAAAAAAAAAAAAAAAA="', "! crypto/cipher: input not full blocks"),
    (
        'sprig_decryptAES "abc" "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="',
        "! runtime error: slice bounds out of range [:-163]",
    ),
    (
        'sprig_decryptAES "abd" "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="',
        "! runtime error: slice bounds out of range [:-16]",
    ),
    (
        '(sprig_semver "1.0.0").Compare $',
        "! runtime error: invalid memory address or nil pointer dereference",
    ),
    ('(sprig_semver "1.0.0").Equal .', "false"),
]

# Where in a document the encoder is when a key of a map is no text.
_NO_NAME = "json: unsupported value: jsontext: object member name must be a string"
NO_NAMES = [
    ('toJSON (parseYAML "true: 1")', f"! toJSON: {_NO_NAME} after offset 2"),
    ('toJSON (parseYAML "a: {true: 1}")', f'! toJSON: {_NO_NAME} within "/a" after offset 7'),
    (
        'toJSON (parseYAML "a: [1,{b: {true: 1}}]\\nb: 3\\n0: x")',
        f'! toJSON: {_NO_NAME} within "/a/1/b" after offset 23',
    ),
    (
        'toJSONPretty (parseYAML "a: [1,{b: {true: 1}}]\\nb: 3\\n0: x")',
        f'! toJSONPretty: {_NO_NAME} within "/a/1/b" after offset 23',
    ),
    (
        "toUnescapedJSON (parseYAML \"a: ['<&>é',{'b/~c': {true: 1}}]\\nb: 3\\n0: x\")",
        f'! toUnescapedJSON: {_NO_NAME} within "/a/1/b~1~0c" after offset 32',
    ),
    (
        "toJSON (parseYAML \"a: ['<&>é',{'b/~c': {true: 1}}]\\nb: 3\\n0: x\")",
        f'! toJSON: {_NO_NAME} within "/a/1/b~1~0c" after offset 47',
    ),
    (
        'toJSON (sprig_list 1 "é" (parseYAML "1.5: 1"))',
        f'! toJSON: {_NO_NAME} within "/2" after offset 10',
    ),
    (
        'toJSON (sprig_dict "é" (parseYAML "~: 1"))',
        f'! toJSON: {_NO_NAME} within "/é" after offset 8',
    ),
    (
        'sprig_mustToPrettyJson (sprig_dict "é" (parseYAML "~: 1"))',
        f'! {_NO_NAME} within "/é" after offset 8',
    ),
    (
        'sprig_mustToRawJson (sprig_dict "<" (parseYAML "~: 1"))',
        f'! {_NO_NAME} within "/<" after offset 7',
    ),
    (
        'sprig_toRawJson (sprig_dict "<" (parseYAML "~: 1"))',
        f'! {_NO_NAME} within "/<" after offset 7',
    ),
    (
        'toJSON (sprig_list (sprig_list) (sprig_dict) nil true 1.5 "a\\n" (parseYAML "no: 1"))',
        f'! toJSON: {_NO_NAME} within "/6" after offset 29',
    ),
    ('toJSON (parseYAML "y: {no: 1}\\n")', f"! toJSON: {_NO_NAME} after offset 2"),
]

YAML_WORDS = [
    ('parseYAML "{k:}"', "map[k::<nil>]"),
    ('parseYAML "[a:, b]"', "[a: b]"),
    ('parseYAML "{a: b:, c: d}"', "map[a:b: c:d]"),
    ('parseYAML "{a?b: c}"', "! yaml: did not find expected ',' or '}'"),
    ('parseYAML "[http://x/?a]"', "! yaml: did not find expected ',' or ']'"),
    ('parseYAML "a: http://x/?a=[1]\\nb: {c: 1}"', "map[a:http://x/?a=[1] b:map[c:1]]"),
    ('parseYAML "\\"\\\\/\\""', "! yaml: found unknown escape character"),
    ('parseYAML "\\"\\\\\'\\""', "'"),
    ('parseYAML "[!a, 5]" | printf "%#v"', '[]interface {}{"5"}'),
    ('parseYAML "[!x[1] 2]"', "[2]"),
    ('parseYAML "[a: !!str, .e1, \\ta: 1]"', "[map[a:.e1] map[a:1]]"),
    ('parseYAML "{a: b\\n  c, d:e: f}"', "map[a:b c d:e:f]"),
]

TOO_LARGE = [
    ('sprig_fromJson "{\\"a\\":1e400,\\"b\\":[-1e999,2]}"', "map[a:0 b:[0 2]]"),
    (
        'sprig_mustFromJson "1e400"',
        "! json: cannot unmarshal number 1e400 into Go value of type float64",
    ),
    ('sprig_duration "9223372036854775808"', "-1s"),
    ('sprig_duration "-9223372036854775809"', "0s"),
    ('sprig_round "-0" 1', "-0"),
    ("sprig_round -0.2 0", "-1"),
    ("sprig_round 0.2 0 0.1", "1"),
    ('sprig_round "-1e-400" 2', "-0"),
    ("sprig_round -0.04 1 -0.9", "-0"),
]

TEXTS = [
    ('toUpper "a\\xffb\\xc3" | printf "%q"', '"A�B�"'),
    ('toUpper "ab\\xff" | printf "%q"', '"AB�"'),
    ('toUpper "ǆ ŉ ß ﬁ ᾀ ᾳ ΐ ı ſ µ ÿ"', "Ǆ ŉ ß ﬁ ᾈ ᾼ ΐ I S Μ Ÿ"),
    ('toLower "A\\xffÀ" | printf "%q"', '"a�à"'),
    ('toLower "İ Σ ẞ Ω K Ǆ ᾈ"', "i σ ß ω k ǆ ᾀ"),
    ('toTitle "a\\xffb c\\xc3" | printf "%q"', '"A\\xffB C\\xc3"'),
    ('trim "" "x"', "x"),
    (
        'trimSpace "\\x1c a \\x1f\\u0085\\u3000\\ufeff" | printf "%q"',
        '"\\x1c a \\x1f\\u0085\\u3000\\ufeff"',
    ),
    ('trimPrefix "" "x"', "x"),
    ('replaceAll "" "-" "añb"', "-a-ñ-b-"),
    ('split "" ""', "[]"),
    ('splitToMap "" "=" "a=b"', "map[:]"),
    ('splitToMap "," "" "a,b"', "map[:b]"),
    ('join "" (split "" "日本")', "日本"),
    ('join "x" (split "," "a")', "a"),
]

ENCODINGS = [
    ('base64Decode "aG==\\n"', "h"),
    ('base64Decode "aG=\\n="', "h"),
    ('base64Decode "aGVsbG9="', "hello"),
    ('base64Decode "/wD+gA==" | printf "%q"', '"\\xff\\x00\\xfe\\x80"'),
    ('base64Decode "aG=k"', "! base64Decode: illegal base64 data at input byte 2"),
    ('base64Decode "aGk"', "! base64Decode: illegal base64 data at input byte 0"),
]

JSON_READER = [
    ('parseJSON "\\"\\xff\\"" | printf "%q"', '"�"'),
    ('parseJSON "\\"\\xe4\\xb8\\"" | printf "%q"', '"��"'),
    ('parseJSON "\\"\\\\ud83d\\\\ude00 \\\\ud83d x \\\\ude00\\"" | printf "%q"', '"😀 � x �"'),
    ('parseJSON "{\\"a\\":1,\\"a\\":{\\"b\\":2},\\"a\\":{\\"c\\":3}}"', "map[a:map[c:3]]"),
    ('parseJSON "\\"é"', "! unexpected end of JSON input"),
    ('parseJSON "é"', "! invalid character 'é' looking for beginning of value"),
    ('parseJSON "[1 2]"', "! invalid character '2' after array element"),
    ('parseJSON "{\\"a\\" 1}"', "! invalid character '1' after object key"),
    ('parseJSON "{\\"a\\":1 \\"b\\"}"', "! invalid character '\"' after object key:value pair"),
    ('parseJSON "tru"', "! unexpected end of JSON input"),
    ('parseJSON "trux"', "! invalid character 'x' in literal true (expecting 'e')"),
    ('parseJSON "-x"', "! invalid character 'x' in numeric literal"),
    ('parseJSON "01"', "! invalid character '1' after top-level value"),
    ('parseJSON "1.x"', "! invalid character 'x' in numeric literal"),
    ('parseJSON "1ex"', "! invalid character 'x' in numeric literal"),
    ('parseJSON "1e999"', "! json: cannot unmarshal number 1e999 into Go value of type float64"),
]

JSON_WRITER = [
    (
        'toJSON "\\u2028\\u2029\\u00e9\\U0001F600\\x7f\\x1f"',
        '"\\u2028\\u2029\xe9\U0001f600\x7f\\u001f"',
    ),
    ('toJSON (sprig_dict "\\uFFFD" 1 "\\U0001F600" 2 "a" 3 "B" 4)', '{"B":4,"a":3,"�":1,"😀":2}'),
    ("toJSON (sprig_list)", "[]"),
    ('toJSON (split "," "")', "[]"),
    ("toJSON (loop 1)", "! toJSON: json: unsupported type: <-chan int64"),
    ('toJSON (parseFloat "+Inf")', "! toJSON: json: unsupported value: +Inf"),
    ('toJSONPretty (parseYAML "b: 1\\na: 2\\n")', '{\n  "a": 2,\n  "b": 1\n}'),
    ("toJSONPretty (sprig_dict)", "{}"),
    ("toJSONPretty (sprig_list)", "[]"),
    ("toJSONPretty (sprig_list (sprig_list) (sprig_dict))", "[\n  [],\n  {}\n]"),
    ('toUnescapedJSON "\\u2028<"', '"\\u2028<"'),
    ('toUnescapedJSON (sprig_list "<" "&\\n")', '["<","&\\n"]'),
    (
        'toUnescapedJSONPretty (sprig_dict "a" (sprig_list) "b" "<>")',
        '{\n  "a": [],\n  "b": "<>"\n}',
    ),
]

YAML_READER = [
    ('parseYAML "a: &x 1\\nb: *x"', "map[a:1 b:1]"),
    ('parseYAML "a: &x {c: 1}\\nb:\\n  <<: *x\\n  d: 2"', "map[a:map[c:1] b:map[c:1 d:2]]"),
    ('parseYAML "<<: {a: 1}\\nb: 2"', "map[a:1 b:2]"),
    ('parseYAML "b:\\n  <<: [{a: 1},{a: 2, c: 3}]\\n  a: 9"', "map[b:map[a:9 c:3]]"),
    ('parseYAML "{a: 1"', "! yaml: line 1: did not find expected ',' or '}'"),
    ('parseYAML "a: b: c"', "! yaml: mapping values are not allowed in this context"),
    ('parseYAML "a: *x"', "! yaml: unknown anchor 'x' referenced"),
    ('parseYAML "<<: 1"', "! yaml: map merge requires map or sequence of maps as the value"),
    ('parseYAML "{a: 1}: b"', '! yaml: invalid map key: map[interface {}]interface {}{"a":1}'),
    ('parseYAML "[1]: b"', "! yaml: invalid map key: []interface {}{1}"),
    ('parseYAML "\'abc"', "! yaml: found unexpected end of stream"),
    ('parseYAML "!!int x"', "! yaml: cannot decode !!str `x` as a !!int"),
    ('parseYAML "!!bool 5"', "! yaml: cannot decode !!int `5` as a !!bool"),
    ('parseYAML "!!binary ***"', "! yaml: did not find expected alphabetic or numeric character"),
    ('parseYAML "@a"', "! yaml: found character that cannot start any token"),
    ('parseYAML "a: `b"', "! yaml: found character that cannot start any token"),
]

YAML_WRITER = [
    ('toYAML (sprig_semver "1.2.3")', "1.2.3"),
    ('toYAML (sprig_toDate "2006-01-02" "2024-03-09")', "2024-03-09T00:00:00Z"),
    ("toYAML (sprig_list (sprig_rest (sprig_list)) nil)", "- []\n- null"),
    ("toYAML nil", "null"),
    ("toYAML (loop 1)", "! cannot marshal type: <-chan int64"),
]

TOML_WRITER = [
    (
        'toTOML (sprig_dict "d" (sprig_toDate "2006-01-02" "2024-03-09"))',
        "d = 2024-03-09T00:00:00Z",
    ),
    ("toTOML scratch", ""),
    ('toTOML "x"', '"x"'),
    ("toTOML 1", "1"),
    ('toTOML (sprig_dict "a" (loop 1))', "! toTOML: unsupported type: chan"),
    ("toTOML nil", "! reflect: call of reflect.Value.Type on zero Value"),
]

CONTAINERS = [
    ('in "abc" ""', "true"),
    ('in (split "," "a,b") "b"', "true"),
    ("in nil 1", "false"),
    ('in (sprig_dict "a" 1) "a"', "false"),
    ('in (sprig_list "a") nil', "! reflect: call of reflect.Value.Type on zero Value"),
    ('in "abc" nil', "! reflect: call of reflect.Value.Type on zero Value"),
    ('contains "a" "xax"', "true"),
    ("containsAll nil (sprig_list 1)", "true"),
    ('containsAll (sprig_list "a") nil', "false"),
    ("containsAny (sprig_list) 5", "false"),
    ('mergeMap (sprig_dict "a" "x") (sprig_dict "a" (sprig_dict "k" 1)) | toJSON', '{"a":"x"}'),
    ('mergeMap (sprig_dict "a" (sprig_dict "k" 1)) (sprig_dict "a" "x") | toJSON', '{"a":{"k":1}}'),
    (
        'mergeMap (sprig_dict "a" (sprig_list 1)) (sprig_dict "a" (sprig_list 2 3)) | toJSON',
        '{"a":[1]}',
    ),
    ('mergeMap (sprig_dict "a" "x") (sprig_dict "a" (sprig_list 2 3)) | toJSON', '{"a":"x"}'),
    ('loop "a"', '! parseInt: strconv.ParseInt: parsing "a": invalid syntax'),
    ("loop", "! loop: wrong number of arguments, expected 1 or 2, but got 0"),
]

ARITHMETIC = [
    ("add 1 1.5", "2.5"),
    ('add (parseUint "1") 2', "3"),
    ('add (parseUint "18446744073709551615") 1', "0"),
    ('add "a" 1', '! add: unknown type for "a" (string)'),
    ('subtract (parseUint "1") (parseUint "0")', "18446744073709551615"),
    ('multiply (parseUint "18446744073709551615") (parseUint "2")', "18446744073709551614"),
    ("divide 2 7.0", "3.5"),
    ("divide -1 -9223372036854775808", "-9223372036854775808"),
    ('divide (parseUint "0") 1', "! runtime error: integer divide by zero"),
    ("modulo -1 -9223372036854775808", "0"),
    ("minimum 1 2.5", "1"),
    ('minimum (parseFloat "NaN") 1', "NaN"),
    ('minimum 1 (parseFloat "NaN")', "1"),
    ("minimum 1 nil", "! minimum: unknown type for <invalid reflect.Value> (<nil>)"),
    ("maximum 1 2.5", "2.5"),
    ("maximum 3 2.5", "3"),
    ('maximum (parseFloat "NaN") 1', "NaN"),
]

REGULAR_EXPRESSIONS = [
    ('regexMatch "(?P<n>a)(?P<n>b)" "a"', "false"),
    ('regexMatch "(?<n>a)" "a"', "true"),
    ('regexMatch "." "\\xff"', "true"),
    ('regexMatch "[^a]" "\\xff"', "true"),
    ('regexMatch "a**" "a"', "! error parsing regexp: invalid nested repetition operator: `**`"),
    ('regexMatch "a{2,1}" "a"', "! error parsing regexp: invalid repeat count: `{2,1}`"),
    ('regexReplaceAll "" "-" "añ"', "-a-ñ-"),
    ('regexReplaceAll "(?P<a>x)|y" "[${a}$a]" "xy"', "[xx][]"),
    (
        'regexReplaceAll "(x)" "$1a ${1}a $01 ${01} $ $$ $( ${ ${1 ${é} $é" "x"',
        " xa   $ $ $( ${ ${1  ",
    ),
    ('regexReplaceAll "." "x" "a\\xffb"', "xxx"),
    ('sprig_regexMatch "(" "x"', "false"),
    ('sprig_regexFind "x" "abc"', ""),
    ('sprig_mustRegexFind "[" "a"', "! error parsing regexp: missing closing ]: `[`"),
    ('sprig_regexFindAll "a*" "baac" -1 | printf "%q"', '["" "aa" ""]'),
    ('sprig_regexReplaceAll "a*" "baac" "x"', "xbxcx"),
    ('sprig_regexReplaceAllLiteral "a(x*)b" "-ab-axxb-" "${1}"', "-${1}-${1}-"),
    ('sprig_regexSplit "," "a,b,c" -1', "[a b c]"),
    ('sprig_regexSplit "," "a,b,c" 2', "[a b,c]"),
    ('sprig_regexSplit "" "abc" -1 | printf "%q"', '["a" "b" "c"]'),
    ('sprig_regexSplit "z*" "azbz" -1 | printf "%q"', '["a" "b" ""]'),
    ('sprig_regexQuoteMeta "1.2.3*[a]"', "1\\.2\\.3\\*\\[a\\]"),
]

SPEW = [
    ("spew_sdump", ""),
    (
        'spew_sprintf "%#v %#v %#v %#v %v %v" "a" 1.5 nil true nil (split "," "a,b")',
        "(string)a (float64)1.5 (interface {})<nil> (bool)true <nil> [a b]",
    ),
    ('spew_sprintf "%#v" (split "," "a,b")', "([]string)[a b]"),
    ('spew_sprintf "%d %s %5.2f %%" 1 "a" 1.5', "1 a  1.50 %"),
    ('spew_sprintf "%v"', "%!v(MISSING)"),
]

SPRIG_STRINGS = [
    ('sprig_abbrev 4 "hello"', "h..."),
    ('sprig_abbrev 5 "hello"', "hello"),
    ('sprig_abbrev 5 "éééé" | printf "%q"', '"é..."'),
    ('sprig_abbrevboth 5 7 "hello world foo"', "... ..."),
    ('sprig_abbrevboth 0 6 "hello world"', "hel..."),
    ('sprig_abbrevboth 3 6 "hello world"', "hello world"),
    ('sprig_abbrevboth 20 10 "hello world foo bar"', "...foo bar"),
    ('sprig_cat "a" 1 nil "b c"', "a 1 b c"),
    ("sprig_cat", ""),
    ("sprig_cat nil", ""),
    ('sprig_cat "100%" "%d"', "100% %d"),
    ('sprig_contains "" "a"', "true"),
    ("sprig_hello", "Hello!"),
    ('sprig_indent 2 "a\\n\\nb\\n" | printf "%q"', '"  a\\n  \\n  b\\n  "'),
    ('sprig_indent 0 "a"', "a"),
    ('sprig_indent -1 "a"', "! strings: negative Repeat count"),
    ('sprig_initials "First Try  second"', "FTs"),
    ('sprig_initials "éa b" | printf "%q"', '"Ãb"'),
    ('sprig_join "," nil', ""),
    ('sprig_join "," (sprig_dict "a" 1)', "map[a:1]"),
    ('sprig_join "," 5', "5"),
    ('sprig_join "," (splitToMap "," "=" "a=1")', "map[a:1]"),
    ('sprig_nindent 2 "a\\nb" | printf "%q"', '"\\n  a\\n  b"'),
    ('sprig_nospace " a b\\tc\\n"', "abc"),
    ('sprig_nospace "é b" | printf "%q"', '"Ã©b"'),
    ('sprig_plural "a" "b" 1', "a"),
    ('sprig_quote "a\\"b" 1 nil true 1.5 (sprig_list 1)', '"a\\"b" "1" "true" "1.5" "[1]"'),
    ("sprig_quote", ""),
    ('sprig_quote "é\\u2028\\x00"', '"é\\u2028\\x00"'),
    ('sprig_repeat 100000 "abcdefghij" | len', "1000000"),
    ('sprig_replace "a" "b" "banana"', "bbnbnb"),
    ('sprig_split "" "ab"', "map[_0:a _1:b]"),
    ('sprig_split "," ""', "map[_0:]"),
    ('sprig_splitList "" "ab" | printf "%q"', '["a" "b"]'),
    ('sprig_splitList "," "" | printf "%q"', '[""]'),
    ('sprig_splitn "," 0 "a,b"', "map[]"),
    ('sprig_splitn "," -1 "a,b,c"', "map[_0:a _1:b _2:c]"),
    ('sprig_splitn "" 2 "abc"', "map[_0:a _1:bc]"),
    ('sprig_splitn "," 2 ""', "map[_0:]"),
    ('sprig_squote "a\'b" 1 nil', "'a'b' '1'"),
    ('sprig_substr 1 -1 "abc"', "bc"),
    ('sprig_substr 1 3 "é日" | printf "%q"', '"\\xa9\\xe6"'),
    ('sprig_substr -1 -1 "abc"', "! runtime error: slice bounds out of range [:-1]"),
    ('sprig_substr -1 9 "abc"', "! runtime error: slice bounds out of range [:9] with length 3"),
    ("sprig_toString nil", "<nil>"),
    ("sprig_toString (sprig_list 1 nil)", "[1 <nil>]"),
    ("sprig_toStrings nil", "[]"),
    ('sprig_toStrings "x"', "[x]"),
    ('sprig_toStrings (sprig_until 2) | printf "%q"', '["0" "1"]'),
    ('sprig_toStrings (sprig_dict "a" 1)', "[map[a:1]]"),
    ('sprig_trimAll "" " a "', " a "),
    ('sprig_trimPrefix "a" "ab"', "b"),
    ('sprig_trunc 1 "é" | printf "%q"', '"\\xc3"'),
    ('sprig_trunc -1 "é" | printf "%q"', '"\\xa9"'),
    ('sprig_trunc -5 "abc"', "abc"),
    ('sprig_trunc -3 "abc"', "abc"),
    ('sprig_wrap 5 "Hello World" | printf "%q"', '"Hello\\nWorld"'),
    ('sprig_wrap 3 "Hello World ab c" | printf "%q"', '"Hello\\nWorld\\nab\\nc"'),
    ('sprig_wrap 80 ""', ""),
    ('sprig_wrap 10 "  lead  two   spaces here" | printf "%q"', '"lead  two \\nspaces\\nhere"'),
    ('sprig_wrapWith 3 "|" "Hello World ab c"', "Hel|lo|Wor|ld|ab|c"),
    ('sprig_wrapWith 0 "," "abc"', "a,b,c"),
    ('sprig_wrapWith 5 "" "aaaaaaaaaa" | printf "%q"', '"aaaaa\\naaaaa"'),
]

SPRIG_CASE = [
    ('sprig_swapcase "Hello wORLD ab"', "hELLO World AB"),
    ('sprig_title "hello wORLD o\'neil foo-bar a_b 1st é"', "Hello WORLD O'Neil Foo-Bar A_b 1st É"),
    ('sprig_untitle "Hello World ABC"', "hello world aBC"),
    ('sprig_upper "a\\xff" | printf "%q"', '"A�"'),
]

SPRIG_ENCODINGS = [
    ('sprig_adler32sum "Wikipedia"', "300286872"),
    ('sprig_b32dec "NBSWY3DP"', "hello"),
    ('sprig_b32dec "NBSWY3D"', "illegal base32 data at input byte 0"),
    ('sprig_b32dec "nb"', "illegal base32 data at input byte 0"),
    ('sprig_b32dec "NBSWY3DPE="', "illegal base32 data at input byte 9"),
    ('sprig_b32enc "hello"', "NBSWY3DP"),
    ('sprig_b64dec "a"', "illegal base64 data at input byte 0"),
    ('sprig_sha1sum "a"', "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"),
    ('sprig_sha256sum ""', "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
]

SPRIG_LISTS = [
    ("sprig_chunk 3 (sprig_list 1 2 3 4 5 6 7)", "[[1 2 3] [4 5 6] [7]]"),
    ("sprig_chunk 5 (sprig_list)", "[]"),
    ("sprig_chunk -1 (sprig_list 1 2)", "[]"),
    ('sprig_chunk 2 "a"', "! Cannot chunk type string"),
    (
        'sprig_compact (sprig_list 1 0 "" "a" nil (sprig_list) (sprig_dict) false true 0.0)',
        "[1 a true]",
    ),
    ('sprig_compact "a"', "! Cannot compact on type string"),
    ("sprig_concat", "[]"),
    ('printf "%T" (sprig_concat)', "[]interface {}"),
    ('sprig_concat "a"', "! Cannot concat type string as list"),
    ("sprig_concat nil", "! runtime error: invalid memory address or nil pointer dereference"),
    ("sprig_first nil", "! runtime error: invalid memory address or nil pointer dereference"),
    ("sprig_has nil (sprig_list nil)", "true"),
    ("sprig_has 1 nil", "false"),
    ("sprig_has (sprig_list 1) (sprig_list (sprig_list 1))", "true"),
    ("sprig_has 1 (sprig_until 3)", "true"),
    ('sprig_has 1 "a"', "! Cannot find has on type string"),
    ('sprig_initial "a"', "! Cannot find initial on type string"),
    ("sprig_last 5", "! Cannot find last on type int"),
    ('sprig_mustPush "a" 1', "! Cannot push on type string"),
    ('sprig_prepend "a" 1', "! Cannot prepend on type string"),
    ("sprig_push nil 1", "! runtime error: invalid memory address or nil pointer dereference"),
    ('sprig_push "a" 1', "! Cannot push on type string"),
    ('sprig_rest "a"', "! Cannot find rest on type string"),
    ('sprig_reverse "a"', "! Cannot find reverse on type string"),
    ('sprig_slice (sprig_list) | printf "%#v"', "<nil>"),
    ("sprig_slice (sprig_list 1 2 3 4) 1 3", "[2 3]"),
    ("sprig_slice (sprig_list 1 2 3) 1", "[2 3]"),
    ("sprig_slice (sprig_list 1 2)", "[1 2]"),
    ('sprig_slice "a"', "! list should be type of slice or array but string"),
    ("sprig_slice (sprig_list 1 2) 1 5", "! reflect.Value.Slice: slice index out of bounds"),
    ('sprig_list nil "a" | sprig_sortAlpha', "[a]"),
    ('sprig_sortAlpha "x"', "[x]"),
    ("sprig_sortAlpha 5", "[5]"),
    ("sprig_sortAlpha nil", "[<nil>]"),
    ('sprig_uniq "a"', "! Cannot find uniq on type string"),
    ('sprig_without (sprig_list 1 1.0 "a") 1', "[1 a]"),
    ('sprig_without "a" 1', "! Cannot find without on type string"),
]

SPRIG_DICTS = [
    ('sprig_dict "a"', "map[a:]"),
    ("sprig_dict 1 2 nil 3", "map[1:2 <nil>:3]"),
    ('sprig_dig "a" "b"', "! dig needs at least three arguments"),
    (
        'sprig_dig "a" "d" nil',
        "! interface conversion: interface {} is nil, not map[string]interface {}",
    ),
    ('sprig_get nil "a" | printf "%q"', '""'),
    ('sprig_hasKey nil "a"', "false"),
    ('sprig_keys (sprig_dict "a" 1)', "[a]"),
    ('sprig_keys (sprig_dict "a" 1) (sprig_dict "b" 2) | sprig_sortAlpha', "[a b]"),
    ("sprig_keys", "[]"),
    ('printf "%T" (sprig_keys (sprig_dict))', "[]string"),
    ('sprig_merge (sprig_dict "a" 1) | toJSON', '{"a":1}'),
    ('sprig_merge (sprig_dict "a" 1) nil | toJSON', '{"a":1}'),
    ('sprig_mustMerge (sprig_dict "a" 1) (sprig_dict "a" (sprig_dict "b" 1)) | toJSON', '{"a":1}'),
    ('sprig_omit (sprig_dict "a" 1)', "map[a:1]"),
    ('sprig_pick (sprig_dict "a" 1)', "map[]"),
    ('sprig_pluck "a"', "[]"),
    ('sprig_unset (sprig_dict "a" 1 "b" 2) "a"', "map[b:2]"),
    ('sprig_values (sprig_dict "a" 1)', "[1]"),
]

SPRIG_VALUES = [
    ("sprig_all", "true"),
    ('sprig_all 1 ""', "false"),
    ("sprig_any", "false"),
    ("sprig_any 0 1", "true"),
    ("sprig_coalesce", "<no value>"),
    ('sprig_coalesce nil 0 ""', "<no value>"),
    ('sprig_deepCopy (split "," "a,b") | printf "%T"', "[]string"),
    ("sprig_deepCopy 5", "5"),
    ("sprig_deepCopy nil", "! reflect: call of reflect.Value.Type on zero Value"),
    ('sprig_deepEqual (split "," "a") (sprig_list "a")', "false"),
    ("sprig_deepEqual nil nil", "true"),
    ("sprig_deepEqual 1 (sprig_int64 1)", "false"),
    ('sprig_deepEqual (parseFloat "NaN") (parseFloat "NaN")', "false"),
    ('sprig_default "d" (sprig_dict "a" 1)', "map[a:1]"),
    ('sprig_default "d" 0.0', "d"),
    ("sprig_default 1 2 3", "2"),
    ("sprig_empty (secret)", "true"),
    ('sprig_empty (sprig_toDate "2006" "2024")', "false"),
    ("sprig_empty scratch", "false"),
    ("sprig_empty (loop 1)", "false"),
    ('sprig_kindOf (sprig_semver "1.2.3")', "ptr"),
    ("sprig_kindOf scratch", "ptr"),
    ("sprig_kindOf (loop 1)", "chan"),
    ("sprig_kindOf (sprig_until 1)", "slice"),
    ('sprig_mustDeepCopy "a"', "a"),
    ('sprig_mustToJson (parseFloat "NaN")', "! json: unsupported value: NaN"),
    ('sprig_mustToRawJson (parseFloat "NaN")', "! json: unsupported value: NaN"),
    ("sprig_ternary 1 2 (eq 1 1)", "1"),
    ('sprig_toJson (parseFloat "NaN")', ""),
    ('sprig_toPrettyJson (sprig_dict "a" "<")', '{\n  "a": "\\u003c"\n}'),
    ('sprig_toRawJson (sprig_dict "a" "<")', '{"a":"<"}'),
    ('sprig_toRawJson (parseFloat "NaN")', "! json: unsupported value: NaN"),
    ('sprig_typeIs "*semver.Version" (sprig_semver "1.2.3")', "true"),
    ('sprig_typeIsLike "semver.Version" (sprig_semver "1.2.3")', "true"),
    ("sprig_typeOf (sprig_dict)", "map[string]interface {}"),
    ('sprig_typeOf (sprig_semver "1.2.3")', "*semver.Version"),
]

SPRIG_NUMBERS = [
    ('sprig_add 1 "2" 3.7 nil true', "7"),
    ("sprig_add", "0"),
    ('sprig_add1 "9"', "10"),
    ("sprig_add1f 0.1", "1.1"),
    ("sprig_addf", "0"),
    ("sprig_addf 1.1 2.2 3.3", "6.6"),
    ('sprig_addf "1.5" "x"', "1.5"),
    ('sprig_addf (parseFloat "NaN")', "! Cannot create a Decimal from NaN"),
    ("sprig_biggest 1 2", "2"),
    ("sprig_ceil 1.1", "2"),
    ('sprig_ceil "-1.5"', "-1"),
    ('printf "%T" (sprig_ceil 1)', "float64"),
    ("sprig_div 7 2", "3"),
    ("sprig_div -7 2", "-3"),
    ("sprig_div 1 0", "! runtime error: integer divide by zero"),
    ("sprig_divf 1 7", "0.1428571428571429"),
    ("sprig_divf 10 3", "3.3333333333333335"),
    ("sprig_divf 1e20 3", "3.333333333333333e+19"),
    ("sprig_divf 2 3", "0.6666666666666667"),
    ("sprig_divf 1 0", "! decimal division by 0"),
    ("sprig_floor -1.5", "-2"),
    ("sprig_max 1 5 3", "5"),
    ("sprig_max 1", "1"),
    ("sprig_maxf 1.5 2", "2"),
    ("sprig_min 4 2 9", "2"),
    ("sprig_minf 1 2", "1"),
    ("sprig_mod -7 3", "-1"),
    ("sprig_mul 2 3 4", "24"),
    ("sprig_mulf 1.1 1.1", "1.21"),
    ("sprig_mulf 1e200 1e200", "+Inf"),
    ("sprig_round 1.005 2", "1"),
    ("sprig_round -1.5 0", "-2"),
    ("sprig_round 1234.5 -2", "1200"),
    ("sprig_round 2.675 2", "2.68"),
    ("sprig_seq", ""),
    ("sprig_seq 5", "1 2 3 4 5"),
    ("sprig_seq -3", "1 0 -1 -2 -3"),
    ("sprig_seq 0", "1 0"),
    ('sprig_sub 5 "3"', "2"),
    ("sprig_subf 1 0.9", "0.1"),
    ("sprig_toDecimal 777", "511"),
    ('sprig_toDecimal "0755"', "493"),
    ("sprig_toDecimal 8", "0"),
    ("sprig_toDecimal 1.5", "0"),
    ("sprig_until 5", "[0 1 2 3 4]"),
    ("sprig_until -3", "[0 -1 -2]"),
    ("sprig_until 0", "[]"),
    ('printf "%T" (sprig_until 1)', "[]int"),
    ("sprig_untilStep 0 10 3", "[0 3 6 9]"),
    ("sprig_untilStep 10 0 -4", "[10 6 2]"),
    ("sprig_untilStep 0 5 0", "[]"),
    ("sprig_untilStep 5 0 1", "[]"),
]

SPRIG_DATES = [
    ('sprig_date "2006" 0', "1970"),
    ('sprig_date "2006-01-02" "string" | len', "10"),
    ('sprig_dateInZone "15:04 MST" 0 "America/New_York"', "19:00 EST"),
    (
        'sprig_dateModify "-1.5h" (sprig_toDate "2006-01-02" "2024-03-09")',
        "2024-03-08 22:30:00 +0000 UTC",
    ),
    (
        'sprig_dateModify "bad" (sprig_toDate "2006-01-02" "2024-03-09")',
        "2024-03-09 00:00:00 +0000 UTC",
    ),
    ('sprig_duration "86400"', "24h0m0s"),
    ('sprig_duration "90"', "1m30s"),
    ('sprig_duration "x"', "0s"),
    ("sprig_duration (sprig_int64 3700)", "1h1m40s"),
    ('sprig_durationRound "1h2m3s"', "1h"),
    ("sprig_durationRound (sprig_int64 100000000000)", "1m"),
    ('sprig_durationRound "59s"', "59s"),
    ('sprig_durationRound "-2h"', "2h"),
    ("sprig_htmlDate 86400", "1970-01-02"),
    (
        'sprig_mustDateModify "bad" (sprig_toDate "2006-01-02" "2024-03-09")',
        '! time: invalid duration "bad"',
    ),
    (
        'sprig_mustDateModify "1x" (sprig_toDate "2006-01-02" "2024-03-09")',
        '! time: unknown unit "x" in duration "1x"',
    ),
    (
        'sprig_mustToDate "Jan 2, 2006 at 3:04pm (MST)" "Feb 3, 2013 at 7:54pm (PST)"',
        "2013-02-03 19:54:00 +0000 PST",
    ),
    ('sprig_mustToDate "Mon Jan _2 2006" "Tue Feb  3 2013"', "2013-02-03 00:00:00 +0000 UTC"),
    ('sprig_mustToDate "02/01/06" "03/02/69"', "1969-02-03 00:00:00 +0000 UTC"),
    ('sprig_mustToDate "02/01/06" "03/02/68"', "2068-02-03 00:00:00 +0000 UTC"),
    (
        'sprig_mustToDate "2006-01-02" "bad"',
        '! parsing time "bad" as "2006-01-02": cannot parse "bad" as "2006"',
    ),
    ('sprig_mustToDate "2006-01-02" "2024-02-30"', '! parsing time "2024-02-30": day out of range'),
    ('sprig_toDate "2006-01-02" "bad"', "0001-01-01 00:00:00 +0000 UTC"),
    (
        'sprig_toDate "2006-01-02" "2024-03-09" | printf "%v %s %d"',
        "2024-03-09 00:00:00 +0000 UTC %!s(MISSING) %!d(MISSING)",
    ),
    ('sprig_toDate "2006-01-02" "2024-03-09" | sprig_toString', "2024-03-09 00:00:00 +0000 UTC"),
    ('sprig_toDate "2006-01-02" "2024-03-09" | sprig_typeOf', "time.Time"),
    ('sprig_unixEpoch (sprig_toDate "2006-01-02" "bad")', "-62135596800"),
    ("sprig_unixEpoch (sprig_now) | len", "10"),
]

SPRIG_PATHS = [
    ('sprig_base ""', "."),
    ('sprig_base "/"', "/"),
    ('sprig_base "a/b/"', "b"),
    ('sprig_base "//"', "/"),
    ('sprig_clean ""', "."),
    ('sprig_clean "../a/./b/../c/"', "../a/c"),
    ('sprig_clean "/../a"', "/a"),
    ('sprig_dir ""', "."),
    ('sprig_dir "a"', "."),
    ('sprig_dir "/a"', "/"),
    ('sprig_dir "a//b"', "a"),
    ('sprig_ext "a.tar.gz"', ".gz"),
    ('sprig_ext "a/b.c/d"', ""),
    ('sprig_ext ".bashrc"', ".bashrc"),
    ('sprig_osClean "a/../.."', ".."),
    ('sprig_osDir "//a//b"', "/a"),
    ('sprig_osExt "x."', "."),
    ('sprig_osIsAbs "/x"', "true"),
]

SPRIG_URLS = [
    ('sprig_urlJoin (sprig_dict "host" "h" "path" "p")', "//h/p"),
    ("sprig_urlJoin (sprig_dict)", ""),
    ('sprig_urlJoin (sprig_dict "scheme" "mailto" "opaque" "a@b")', "mailto:a@b"),
    ('sprig_urlJoin (sprig_dict "scheme" "s3" "host" "b" "path" "k")', "s3://b/k"),
    (
        'sprig_urlJoin (sprig_dict "host" 5)',
        "! unable to parse host key, must be of type string, but int found",
    ),
    (
        'sprig_urlParse "http://h:abc/"',
        '! unable to parse url: parse "http://h:abc/": invalid port ":abc" after host',
    ),
    (
        'sprig_urlParse "a b:c"',
        '! unable to parse url: parse "a b:c": first path segment in URL cannot contain colon',
    ),
]

SPRIG_SEMVER = [
    ('sprig_semver "01.2.3"', "1.2.3"),
    ('sprig_semver "1"', "1.0.0"),
    ('sprig_semver "v1.2"', "1.2.0"),
    ('(sprig_semver "1.2.3-rc.1+m").Prerelease', "rc.1"),
    ('sprig_semver "x"', "! invalid semantic version"),
    ('sprig_semver "1.2.3.4"', "! invalid semantic version"),
    ('sprig_semverCompare "1.2.3" "1.2.3"', "true"),
    ('sprig_semverCompare "1.2" "1.2.9"', "true"),
    ('sprig_semverCompare ">1.2" "1.2.9"', "false"),
    ('sprig_semverCompare ">1" "1.9.0"', "false"),
    ('sprig_semverCompare "bad" "1.2.3"', "! improper constraint: bad"),
    ('sprig_semverCompare ">=1.0" "bad"', "! invalid semantic version"),
]

SPRIG_SYSTEM = [
    ('sprig_expandenv "$X ${Y} $$ $1 ${} ${X $Z."', "     X ."),
]


RECORDED = [
    *EFFECTS,
    *SCRATCH,
    *FOUND_BY_COMPARISON,
    *TEXTS,
    *ENCODINGS,
    *JSON_READER,
    *JSON_WRITER,
    *YAML_READER,
    *YAML_WRITER,
    *TOML_WRITER,
    *CONTAINERS,
    *ARITHMETIC,
    *REGULAR_EXPRESSIONS,
    *SPEW,
    *METHODS_OF_TIMES,
    *ODDITIES,
    *FAULTS,
    *TOO_LARGE,
    *YAML_WORDS,
    *NO_NAMES,
    *SPRIG_STRINGS,
    *SPRIG_CASE,
    *SPRIG_ENCODINGS,
    *SPRIG_LISTS,
    *SPRIG_DICTS,
    *SPRIG_VALUES,
    *SPRIG_NUMBERS,
    *SPRIG_DATES,
    *SPRIG_PATHS,
    *SPRIG_URLS,
    *SPRIG_SEMVER,
    *SPRIG_SYSTEM,
]


def _render(expression: str) -> str:
    template = Template.compile(
        f"{{{{ {expression} }}}}", name="", functions=functions(), error_on_missing_key=False
    )
    try:
        return template.render(RenderContext(secret=lambda _request: None)).text or ""
    except TemplateRenderError as error:
        return (
            "! "
            + error.message.split(": ", 3)[-1].partition("error calling ")[2].partition(": ")[2]
        )


@pytest.mark.parametrize(("expression", "printed"), RECORDED)
def test_every_call_prints_what_vault_agent_prints(expression: str, printed: str) -> None:
    assert _render(expression) == printed
