"""The functions that templates can call, by name: consul-template's and sprig's.

A sidecar is paid for by its memory, so a module is imported when a template first names one of its
functions. That is why the names are written down here once more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module

from leasekeeper.templates.golang.functions import Function, FunctionTable

MODULES: Mapping[str, str] = {
    "secret_functions": "secret secrets pkiCert",
    "environment": "env mustEnv envOrDefault",
    "files": "file",
    "effects": "writeToFile plugin spew_dump spew_printf",
    "scratch": "scratch executeTemplate",
    "texts": (
        "toUpper toLower toTitle trim trimSpace trimPrefix trimSuffix replaceAll split splitToMap"
        " join indent"
    ),
    "encodings": (
        "base64Decode base64Encode base64URLDecode base64URLEncode sha256Hex md5sum hmacSHA256Hex"
    ),
    "parsing": "parseBool parseFloat parseInt parseUint",
    "json_reader": "parseJSON",
    "json_writer": "toJSON toJSONPretty toUnescapedJSON toUnescapedJSONPretty",
    "yaml_reader": "parseYAML",
    "yaml_writer": "toYAML",
    "toml_writer": "toTOML",
    "containers": (
        "in contains containsAll containsAny containsNone containsNotAll explodeMap mergeMap"
        " mergeMapWithOverride loop"
    ),
    "arithmetic": "add subtract multiply divide modulo minimum maximum",
    "timestamps": "timestamp",
    "regular_expressions": (
        "regexMatch regexReplaceAll"
        " sprig_regexMatch sprig_mustRegexMatch sprig_regexFind sprig_mustRegexFind"
        " sprig_regexFindAll sprig_mustRegexFindAll sprig_regexReplaceAll"
        " sprig_mustRegexReplaceAll sprig_regexReplaceAllLiteral"
        " sprig_mustRegexReplaceAllLiteral sprig_regexSplit sprig_mustRegexSplit"
        " sprig_regexQuoteMeta"
    ),
    "addresses": "sockaddr",
    "spew": "spew_sdump spew_sprintf",
    "sprig_strings": (
        "sprig_abbrev sprig_abbrevboth sprig_cat sprig_contains sprig_hasPrefix sprig_hasSuffix"
        " sprig_hello sprig_indent sprig_initials sprig_join sprig_nindent sprig_nospace"
        " sprig_plural sprig_quote sprig_repeat sprig_replace sprig_shuffle sprig_split"
        " sprig_splitList sprig_splitn sprig_squote sprig_substr sprig_toString sprig_toStrings"
        " sprig_trim sprig_trimAll sprig_trimPrefix sprig_trimSuffix sprig_trimall sprig_trunc"
        " sprig_wrap sprig_wrapWith"
    ),
    "sprig_case": (
        "sprig_camelcase sprig_kebabcase sprig_lower sprig_snakecase sprig_swapcase sprig_title"
        " sprig_untitle sprig_upper"
    ),
    "sprig_encodings": (
        "sprig_adler32sum sprig_b32dec sprig_b32enc sprig_b64dec sprig_b64enc sprig_sha1sum"
        " sprig_sha256sum sprig_sha512sum"
    ),
    "sprig_lists": (
        "sprig_append sprig_chunk sprig_compact sprig_concat sprig_first sprig_has"
        " sprig_initial sprig_last sprig_list sprig_mustAppend sprig_mustChunk sprig_mustCompact"
        " sprig_mustFirst sprig_mustHas sprig_mustInitial sprig_mustLast sprig_mustPrepend"
        " sprig_mustPush sprig_mustRest sprig_mustReverse sprig_mustSlice sprig_mustUniq"
        " sprig_mustWithout sprig_prepend sprig_push sprig_rest sprig_reverse sprig_slice"
        " sprig_sortAlpha sprig_tuple sprig_uniq sprig_without"
    ),
    "sprig_dicts": (
        "sprig_dict sprig_dig sprig_get sprig_hasKey sprig_keys sprig_merge"
        " sprig_mergeOverwrite sprig_mustMerge sprig_mustMergeOverwrite sprig_omit sprig_pick"
        " sprig_pluck sprig_set sprig_unset sprig_values"
    ),
    "sprig_values": (
        "sprig_all sprig_any sprig_coalesce sprig_deepCopy sprig_deepEqual sprig_default"
        " sprig_empty sprig_fail sprig_fromJson sprig_kindIs sprig_kindOf sprig_mustDeepCopy"
        " sprig_mustFromJson sprig_mustToJson sprig_mustToPrettyJson sprig_mustToRawJson"
        " sprig_ternary sprig_toJson sprig_toPrettyJson sprig_toRawJson sprig_typeIs"
        " sprig_typeIsLike sprig_typeOf"
    ),
    "sprig_numbers": (
        "sprig_add sprig_add1 sprig_add1f sprig_addf sprig_atoi sprig_biggest sprig_ceil"
        " sprig_div sprig_divf sprig_float64 sprig_floor sprig_int sprig_int64 sprig_max"
        " sprig_maxf sprig_min sprig_minf sprig_mod sprig_mul sprig_mulf sprig_randInt"
        " sprig_round sprig_seq sprig_sub sprig_subf sprig_toDecimal sprig_until"
        " sprig_untilStep"
    ),
    "sprig_dates": (
        "sprig_ago sprig_date sprig_dateInZone sprig_dateModify sprig_date_in_zone"
        " sprig_date_modify sprig_duration sprig_durationRound sprig_htmlDate"
        " sprig_htmlDateInZone sprig_mustDateModify sprig_mustToDate sprig_must_date_modify"
        " sprig_now sprig_toDate sprig_unixEpoch"
    ),
    "sprig_paths": (
        "sprig_base sprig_clean sprig_dir sprig_ext sprig_isAbs sprig_osBase sprig_osClean"
        " sprig_osDir sprig_osExt sprig_osIsAbs"
    ),
    "sprig_urls": "sprig_urlJoin sprig_urlParse",
    "sprig_semver": "sprig_semver sprig_semverCompare",
    "sprig_crypto": (
        "sprig_bcrypt sprig_decryptAES sprig_derivePassword sprig_encryptAES sprig_htpasswd"
    ),
    "sprig_certificates": (
        "sprig_buildCustomCert sprig_genCA sprig_genCAWithKey sprig_genPrivateKey"
        " sprig_genSelfSignedCert sprig_genSelfSignedCertWithKey sprig_genSignedCert"
        " sprig_genSignedCertWithKey"
    ),
    "sprig_system": (
        "sprig_env sprig_expandenv sprig_getHostByName sprig_randAlpha sprig_randAlphaNum"
        " sprig_randAscii sprig_randBytes sprig_randNumeric sprig_uuidv4"
    ),
}
"""Module of this package -> the functions it defines."""

_MODULE_OF = {name: module for module, names in MODULES.items() for name in names.split()}

_CONSUL_AND_NOMAD = (
    "byKey byMeta byPort byTag caLeaf caRoots connect datacenters explode exportedServices"
    " importedServices key keyExists keyOrDefault ls node nodes nomadService nomadServices"
    " nomadVar nomadVarExists nomadVarList nomadVarListSafe partitions peerings safeLs safeTree"
    " service services tree"
)
_NO_CONSUL = (
    "this function reads from Consul or Nomad, and Leasekeeper has no Consul or Nomad functions"
)


class Library(FunctionTable):
    """A `FunctionTable` that imports the module of a function when the function is looked up."""

    def __init__(self, *, denied: Collection[str], sandbox: str) -> None:
        super().__init__(unavailable=dict.fromkeys(_CONSUL_AND_NOMAD.split(), _NO_CONSUL))
        self._denied = tuple(denied)
        self._sandbox = sandbox

    def __getitem__(self, name: str) -> Function:
        if name not in self._functions:
            self._functions[name] = self._found(name)
        return self._functions[name]

    def _found(self, name: str) -> Function:
        module = import_module(f"leasekeeper.templates.functions.{_MODULE_OF[name]}")
        function: Function = module.functions[name]
        if name == "file" and self._sandbox:
            function = module.sandboxed_file(self._sandbox)
        if any(fnmatchcase(name, pattern) for pattern in self._denied):
            return function.disabled()
        return function

    def __contains__(self, name: object) -> bool:
        return name in _MODULE_OF

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULE_OF)

    def __len__(self) -> int:
        return len(_MODULE_OF)


def library(*, denylist: Collection[str] = (), sandbox_path: str = "") -> Library:
    """Return the functions for templates, the same object for the same arguments.

    *denylist* names functions that fail when they are called; the patterns ``*``, ``?`` and
    ``[...]`` are understood. *sandbox_path* is the directory that ``file`` may not leave.
    """
    return _library(tuple(denylist), sandbox_path)


# A thousand templates share one: 2.6 MiB.
@cache
def _library(denylist: tuple[str, ...], sandbox_path: str) -> Library:
    return Library(denied=denylist, sandbox=sandbox_path)
