"""Random templates: most make sense, some do not.

Every function whose result depends on its arguments alone takes part. Left out are those that read
a clock, a random source or the machine, or make keys, what shows an address (``%p``, channels),
sprig's ``keys`` and ``values`` and spew's maps, whose order is random in the real agent, and what
it would loop over for ever.
"""

from __future__ import annotations

import re

from hypothesis import strategies as st

_TEXTS = r"""
"" "a" "abc" "Hello World" "é" "日本" "x\ty" "a,b,c" "a=1,b=2" "-5" "12" "0x1F" "3.7" "1e3" "true"
"<a href='x'>&\"" "p%q/r s?t" "\x00\xff" "YWJj" "k" "a/b/c" "../x" "line1\nline2" `raw\n` "nil"
"HelloWorld_foo-bar" " pad " "aaa" "1.2.3" "[a-c]+" "(a)(b)?" "$1" "%d" "%v|%5s" "10.0.0.1" "2h45m"
"""
_NUMBERS = """
0 1 2 3 -1 -7 10 255 1.0 2.5 -0.5 1e21 1e-7 0.1 100000 1234567.891 4096
-4096 0x10 0b11 0o17 'a' '\\n' 1_000 1e6 12345.5 3i 1e20 5e-324
"""
_OTHERS = "true false nil . $ .x $.a.b"
_TYPED = """
(sprig_int64 7)|(parseUint "5")|(parseInt "-3")|(sprig_float64 "2.5")|(sprig_toDecimal "17")
(sprig_atoi "12")|(sprig_semver "1.2.3-rc.1+b").Major|(sprig_untilStep 1 9 3)|(sprig_until 0)
(sprig_fromJson `{"a":[1,{"b":null}],"c":"<&>"}`)|(sprig_urlParse "//h/p?q#f")
(sprig_splitn "," 2 "a,b,c")|(splitToMap "," "=" "")|(parseYAML "{}")|(parseJSON "[]")
(sprig_regexFindAll "[a-c]" "abcd" -1)|(sprig_list nil)
"""
_LISTS = """
(sprig_list)|(sprig_list 1 2 3)|(sprig_list "b" "a" "c")|(sprig_list 1 "a" nil 2.5 true)
(split "," "x,y,,z")|(parseJSON `[1,"a",null,[true],{"k":1.5}]`)|(sprig_until 4)
(sprig_list (sprig_list 1) (sprig_dict "a" 1))|(sprig_splitList "/" "a/b")
(sprig_seq 1 3 | split " ")|(sprig_tuple 3 1 2)|(sprig_untilStep 3 9 2)|(sprig_list 1 1.0 "1")
(parseYAML "- 1\\n- a\\n- 2.5\\n- yes\\n- ~\\n- [b]\\n- {c: 1}")
"""
_MAPS = """
(sprig_dict)|(sprig_dict "a" 1 "b" "two" "c" nil)|(sprig_dict "k" (sprig_dict "a" (sprig_list 1)))
(parseJSON `{"z":1,"a":{"b":[1,2.50,"x"]},"é":null,"n":1e100,"big":12345678901234567890}`)
(parseYAML "b: 1\\na: [x, {y: z}]\\nc: 0x10\\nd: 1.5\\ne: ~\\nf: 2001-01-01\\ng: 'q'\\n1: one")
(sprig_split "/" "a/b/c")|(parseJSON `{"a":"1","b":"2"}`)|(splitToMap ";" ":" "a:1;b:2")
(parseYAML "y: 1\\n1: a\\n1.0: b\\nn: {2: c}\\n0: d")
(sprig_dict "b" true "a" (sprig_dict "x" 1 "y" 2))
(parseYAML "a: &x {k: 1}\\nb:\\n  <<: *x\\n  l: 2\\nc: |\\n  t\\nd: >-\\n  u\\n  v")
"""
_TIMES = """
(sprig_toDate "2006-01-02" "2023-05-06")|(sprig_toDate "2006-01-02 15:04:05" "1999-12-31 23:59:59")
(sprig_toDate "2006-01-02" "0987-12-31")|(sprig_mustToDate "2006-01-02" "2024-02-29")
"""
_LAYOUTS = r"""
"2006-01-02"|"Mon Jan _2 15:04:05 2006"|"2006-01-02T15:04:05Z07:00"|"02/01/06 03:04PM"
"Monday, January 2"|"15:04:05.000"|"002 .00 -0700 MST"|""|"1 2 3 4 5 6"
"""
_ZONES = '"UTC"|"America/New_York"|"Asia/Kolkata"|"Nowhere"|""'
_VERSIONS = '"1.2.3"|"v1.2"|"1.0.0-rc.1"|"2"|"1.2.3-beta+5"|"x"|"01.2"|"0.0.3"'
_CONSTRAINTS = """
">=1.2.3"|"^1.2"|"~1.2.x"|"*"|"!=1"|"1 - 2"|">1, <3"|">1 || <0.5"|"=<2"|">=1.2-0"|"^0.0.3"|"nope"
"""
# What takes part only in these methods: an address, or the time of day, shows elsewhere.
_METHODS = """
Add D|AddDate iii|After T|Before T|Equal T|Compare T|Sub T|Round D|Truncate D|Format L|Unix|Year
Month|Day|YearDay|Weekday|Hour|Minute|Second|Nanosecond|IsZero|UTC|IsDST|GoString|Location|UnixMilli
String|Local|UnixMicro|UnixNano|Nope
"""
_SPAN_METHODS = """
Abs|Hours|Minutes|Seconds|Milliseconds|Microseconds|Nanoseconds|String|Round D|Truncate D
"""
_VERSION_METHODS = """
Major|Minor|Patch|Prerelease|Metadata|Original|String|IncMajor|IncMinor|IncPatch|Compare V|Equal V
LessThan V|GreaterThan V|Compare a
"""
# NAME KINDS: F format, s text, n number, l list, m map, a anything, t time, L its layout, Z zone,
# v version, c constraint, d name of a template, i small number, * any number of the last.
_FUNCTIONS = """
print a*|println a*|printf Fa*|len l|len s|len m|index la|index ma|index an|slice snn|slice ln
eq aa|eq aaa|ne aa|lt nn|lt ss|le aa|gt nn|ge aa|and aa|or aa|and aaa|not a|html a|js a|urlquery a
html s|js s|urlquery s|call a|toUpper s|toLower s|toTitle s|trim ss|trimSpace s|trimPrefix ss
trimSuffix ss|replaceAll sss|split ss|join sl|indent ns|splitToMap sss|base64Decode s|base64Encode s
base64URLDecode s|base64URLEncode s|sha256Hex s|md5sum s|hmacSHA256Hex ss|parseBool s|parseFloat s
parseInt s|parseUint s|parseJSON s|parseYAML s|toJSON a|toJSONPretty a|toUnescapedJSON a|toYAML a
toUnescapedJSONPretty a|toTOML m|toYAML m|toJSON m|toYAML l|toTOML a|in la|in ss|contains al
containsAll ll|containsAny ll|containsNone ll|containsNotAll ll|explodeMap m|mergeMap mm
mergeMapWithOverride mm|add nn|subtract nn|multiply nn|divide nn|modulo nn|minimum nn|maximum nn
regexMatch ss|regexReplaceAll sss|spew_sdump s|spew_sdump n|spew_sprintf Fn*|spew_sprintf Fs*
sprig_derivePassword isss|sprig_decryptAES ss|timestamp sa|secret|secrets|file|plugin
sprig_abbrev ns|sprig_abbrevboth nns
sprig_cat a*|sprig_contains ss|sprig_hasPrefix ss|sprig_hasSuffix ss|sprig_indent ns
sprig_initials s|sprig_join sa|sprig_nindent ns|sprig_nospace s|sprig_plural ssn
sprig_quote a*|sprig_replace sss
sprig_split ss|sprig_splitList ss|sprig_splitn sns|sprig_squote a*|sprig_substr nns|sprig_toString a
sprig_toStrings a|sprig_trim s|sprig_trimAll ss|sprig_trimPrefix ss|sprig_trimSuffix ss
sprig_trunc ns|sprig_wrap ns|sprig_wrapWith nss|sprig_camelcase s|sprig_kebabcase s|sprig_lower s
sprig_snakecase s|sprig_swapcase s|sprig_title s|sprig_untitle s|sprig_upper s|sprig_adler32sum s
sprig_b32dec s|sprig_b32enc s|sprig_b64dec s|sprig_b64enc s|sprig_sha1sum s
sprig_sha256sum s|sprig_append la|sprig_chunk nl|sprig_compact l|sprig_concat l*|sprig_first l
sprig_has al|sprig_initial l|sprig_last l|sprig_mustFirst a|sprig_mustHas aa|sprig_prepend la
sprig_rest l|sprig_reverse l|sprig_slice lnn|sprig_sortAlpha l|sprig_uniq l|sprig_without la
sprig_dig ssam|sprig_get ms|sprig_hasKey ms|sprig_merge mm|sprig_mergeOverwrite mm|sprig_omit ms
sprig_pick mss|sprig_pluck smm|sprig_set msa|sprig_unset ms|sprig_all a*|sprig_any a*
sprig_coalesce a*|sprig_deepCopy a|sprig_deepEqual aa|sprig_default aa|sprig_empty a|sprig_fail s
sprig_fromJson s|sprig_kindIs sa|sprig_kindOf a|sprig_ternary aaa|sprig_toJson a
sprig_toPrettyJson a
sprig_toRawJson a|sprig_typeIs sa|sprig_typeOf a|sprig_typeIsLike sa|sprig_add a*|sprig_add1 a
sprig_add1f a|sprig_addf a*|sprig_atoi s|sprig_biggest aa|sprig_ceil a|sprig_div aa|sprig_divf aa
sprig_float64 a|sprig_floor a|sprig_int a|sprig_int64 a|sprig_max aa|sprig_maxf aa|sprig_min aa
sprig_minf aa|sprig_mod nn|sprig_mul aa|sprig_mulf aa|sprig_round an|sprig_sub aa|sprig_subf aa
sprig_toDecimal a|sprig_base s|sprig_clean s|sprig_dir s|sprig_ext s|sprig_isAbs s|sprig_osBase s
sprig_urlParse s|sprig_urlJoin m|sprig_semver v|sprig_semverCompare cv|sprig_duration a
sprig_durationRound a|sprig_regexMatch ss|sprig_regexFind ss|sprig_regexFindAll ssn
sprig_regexReplaceAll sss|sprig_regexReplaceAllLiteral sss|sprig_regexSplit ssn
sprig_regexQuoteMeta s|sprig_repeat ns|sprig_htmlDate a
sprig_mustAppend la|sprig_mustChunk nl|sprig_mustCompact l|sprig_mustDeepCopy a|sprig_mustFromJson s
sprig_mustInitial l|sprig_mustLast l|sprig_mustMerge mm|sprig_mustMergeOverwrite mm
sprig_mustPrepend la|sprig_mustPush la|sprig_mustRegexFind ss|sprig_mustRegexFindAll ssn
sprig_mustRegexMatch ss|sprig_mustRegexReplaceAll sss|sprig_mustRegexReplaceAllLiteral sss
sprig_mustRegexSplit ssn|sprig_mustRest l|sprig_mustReverse l|sprig_mustSlice lnn|sprig_mustToJson a
sprig_mustToPrettyJson a|sprig_mustToRawJson a|sprig_mustUniq l|sprig_mustWithout la
sprig_osClean s|sprig_osDir s|sprig_osExt s|sprig_osIsAbs s|sprig_push la|sprig_trimall ss
sprig_seq n|sprig_seq nn|sprig_until n|sprig_untilStep nnn|sprig_list a*|sprig_tuple a*
sprig_dict sasa|sprig_dict a*|sprig_dict|sprig_hello|sprig_expandenv s|sprig_env s
sprig_date Lt|sprig_dateInZone LtZ|sprig_date_in_zone LtZ|sprig_dateModify st
sprig_must_date_modify st|sprig_mustDateModify st|sprig_date_modify st|sprig_htmlDateInZone tZ
sprig_htmlDate t|sprig_unixEpoch t|sprig_toDate Ls|sprig_mustToDate Ls|toJSON t|toYAML t|print t
sprig_kindOf t|sprig_typeOf t|sprig_duration n|sprig_durationRound t
env s|envOrDefault ss|mustEnv s|executeTemplate da|executeTemplate d|scratch.Get s|scratch.Key s
scratch.Set sa|scratch.SetX sa|scratch.MapSet ssa|scratch.MapSetX ssa|scratch.MapValues s
"""
_FLAGS = ["", "", "+", "-", "#", " ", "0", "+#"]
_WIDTHS = ["", "", "5", "10", ".2", "8.3", ".0", "*"]
_VERBS = list("vvsdqxXtTfgeGEboOcU%")
_CHAINS = [
    "",
    "",
    "",
    ".a",
    ".x.y",
    " | print",
    " | len",
    " | printf `%v`",
    " | toJSON",
    " | not",
    ".Int64",
    ".Float64",
    ".String",
]


def _lines(text: str) -> list[str]:
    return [part for line in text.strip().splitlines() for part in line.split("|") if part]


_texts = st.sampled_from(re.findall(r'"(?:\\.|[^"\\])*"|`[^`]*`', _TEXTS))
_numbers = st.sampled_from(_NUMBERS.split())
_lists = st.sampled_from(_LISTS.replace(")|(", ")\n(").strip().splitlines())
_maps = st.sampled_from(_MAPS.replace(")|(", ")\n(").strip().splitlines())
_anything = st.one_of(
    _texts,
    _numbers,
    _lists,
    _maps,
    st.sampled_from(_lines(_TYPED)),
    st.sampled_from(_OTHERS.split()),
)
_directives = st.tuples(
    st.sampled_from(_FLAGS), st.sampled_from(_WIDTHS), st.sampled_from(_VERBS)
).map(lambda parts: "%" + "".join(parts))
_formats = st.lists(_directives, min_size=1, max_size=3).map(
    lambda parts: '"' + "|".join(parts) + '"'
)
_LEAVES = {
    "s": _texts,
    "n": _numbers,
    "l": _lists,
    "m": _maps,
    "a": _anything,
    "F": _formats,
    "t": st.sampled_from(_lines(_TIMES)),
    "v": st.sampled_from(_VERSIONS.split("|")),
    "c": st.sampled_from(_lines(_CONSTRAINTS)),
    "d": st.sampled_from(['"t"', '"nope"']),
    "i": st.sampled_from(["0", "1", "-1", "3", "12"]),
    "L": st.sampled_from(_lines(_LAYOUTS)),
    "Z": st.sampled_from(_ZONES.split("|")),
}


def _call(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    @st.composite
    def call(draw: st.DrawFn) -> str:
        name, _, kinds = draw(st.sampled_from(_lines(_FUNCTIONS))).partition(" ")
        if kinds.endswith("*"):
            kinds = kinds[:-2] + kinds[-2] * draw(st.integers(0, 3))
        arguments = []
        for kind in kinds:
            choice = draw(st.integers(0, 19))
            # What is no time would be the time of day, and spew shows maps in any order.
            fixed = kind == "t" or name.startswith("spew")
            leaf = _anything if choice == 0 and not fixed else _LEAVES[kind]
            nested = choice in range(1, 6) and kind not in "FLZtvcdi"
            arguments.append(draw(inner if nested else leaf))
        return f"({' '.join((name, *arguments))}){draw(st.sampled_from(_CHAINS))}"

    return call().map(lambda text: f"({text})" if " | " in text else text)


@st.composite
def _method(draw: st.DrawFn) -> str:
    """Return a call of a method of a time, a span or a version."""
    subject, methods = draw(st.sampled_from(_SUBJECTS))
    name, _, kinds = draw(st.sampled_from(_lines(methods))).partition(" ")
    arguments = [draw(_METHOD_LEAVES[kind]) for kind in kinds]
    return f"({' '.join((f'{draw(subject)}.{name}', *arguments))}){draw(st.sampled_from(_CHAINS))}"


_versions = _LEAVES["v"].map("(sprig_semver {})".format)
_spans = st.tuples(_LEAVES["t"], _LEAVES["t"]).map(lambda both: f"({both[0]}.Sub {both[1]})")
_SUBJECTS = [(_LEAVES["t"], _METHODS), (_spans, _SPAN_METHODS), (_versions, _VERSION_METHODS)]
_METHOD_LEAVES = _LEAVES | {
    "T": _LEAVES["t"],
    "V": _versions,
    "D": st.sampled_from(["0", "-1", "1000000", "5400000000000", "1.5", "nil"]) | _spans,
}
_methods = _method().map(lambda text: f"({text})" if " | " in text else text)

expressions = st.recursive(_anything, _call, max_leaves=6) | _call(_anything)


def _block(parts: tuple[str, str, str, str, str]) -> str:
    opening, condition, body, middle, otherwise = parts
    left, right = ("{{-", "-}}") if len(condition) % 5 == 0 else ("{{", "}}")
    return f"{left} {opening} {condition} {right}{body}{{{{ {middle} }}}}{otherwise}{{{{ end }}}}"


_OPENINGS = ["if", "with", "range", "range $i, $e :=", "range $e :=", "with $x :=", "if $c :="]
_MIDDLES = ["else", "else", "else if .x", "else with 1"]
_BODIES = """{{ $v = $i }}{{ $v }}|{{ with $e }}{{ . }}{{ else }}-{{ end }}
{{ range . }}{{ . }},{{ end }}
{{ block "b" . }}{{ $ }}{{ end }}|{{ with $w := . }}{{ $w }}{{ end }}|{{ $i = len "ab" }}{{ $i }}
{{ . }}|{{ $e }}|{{ $i }}={{ $e }};|{{ break }}|{{ continue }}x| a |{{- " b" -}}
{{ $v = . }}{{ $v }}|{{ template "t" . }}|{{ if . }}y{{ end }}|{{/* c */}}
{{ printf "%T" . }},|{{ .a }}"""
_bodies = st.sampled_from(_lines(_BODIES))
_actions = (expressions | expressions | _methods).map("{{{{ {} }}}}".format)
blocks = st.tuples(
    st.sampled_from(_OPENINGS),
    st.one_of(_lists, _maps, expressions),
    st.one_of(_bodies, _bodies, _actions),
    st.sampled_from(_MIDDLES),
    st.one_of(_bodies, _actions),
).map(_block)
_counted = st.tuples(_LEAVES["i"] | _anything, st.just("") | _LEAVES["i"]).map(
    lambda bounds: f"{{{{ range $i := loop {bounds[0]} {bounds[1]} }}}}{{{{ . }}}},{{{{ end }}}}"
)
PRELUDE = '{{ define "t" }}<{{ . }}>{{ end }}{{ $v := 1 }}{{ $e := 2 }}{{ $i := 3 }}'
_sound = st.one_of(
    _actions, _actions, st.lists(blocks | _actions | _bodies | _counted, max_size=3).map("".join)
)
_PIECES = """{{|}}|{{-| -}}|(|)|"|`|'| |\n|.|$|$x|,|:=|=|1|-|+|0x|_|/*|*/|{{/*|end|else
if|range|break|nil|define|template|block|with|continue|true|e5|é|\\|#|;|.a|..
{{ end }}|{{ else }}|{{ define "z" }}"""
_pieces = st.sampled_from([*_PIECES.replace("\n", "|").split("|"), "|", "\n", "|print"])


@st.composite
def _broken(draw: st.DrawFn) -> str:
    """Return a template in which a few characters are missing, or too many."""
    text = draw(_sound)
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(_pieces | st.just("")) + text[at + draw(st.integers(0, 3)) :]
    return text


templates = st.one_of(_sound, _sound, _sound, _broken()).map(PRELUDE.__add__)
"""Templates, none of which needs a secret or a file."""
