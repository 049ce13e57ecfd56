"""sprig's functions that derive, encrypt and hash passwords."""

from __future__ import annotations

import base64
import ctypes
import ctypes.util
import hashlib
import hmac
import secrets
import struct

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

from leasekeeper.templates.functions.encodings import decode_base64
from leasekeeper.templates.golang.functions import FunctionTable, GoError
from leasekeeper.templates.golang.values import decode, encode

functions = FunctionTable()

# --- bcrypt -----------------------------------------------------------------------------------

_COST = 10
_LONGEST = 72  # bytes that bcrypt looks at
_BASE64 = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@functions.add("sprig_bcrypt", "string")
def bcrypt(password: str) -> str:
    """Return a salted bcrypt hash of cost 10, or what is wrong."""
    data = encode(password)
    if len(data) > _LONGEST:
        why = "bcrypt: password length exceeds 72 bytes"
        return f"failed to encrypt string with bcrypt: {why}"
    salt = "".join(secrets.choice(_BASE64) for _ in range(21)) + secrets.choice(".Oeu")
    return _crypt(data, f"$2b${_COST:02}${salt}").replace("$2b$", "$2a$", 1)


def _crypt(password: bytes, setting: str) -> str:
    """Hash with the C library's crypt(3), because no Python is fast enough for bcrypt."""
    name = ctypes.util.find_library("crypt") or "libcrypt.so.1"
    try:
        crypt = ctypes.CDLL(name).crypt
    except (OSError, AttributeError):
        msg = "this system has no libcrypt, which hashes with bcrypt"
        raise GoError(msg) from None
    crypt.restype = ctypes.c_char_p
    crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    result: bytes | None = crypt(password, setting.encode())
    if not result or not result.startswith(b"$2b$"):
        msg = "this system's libcrypt does not know bcrypt"
        raise GoError(msg)
    return result.decode()


@functions.add("sprig_htpasswd", "string", "string")
def htpasswd(user: str, password: str) -> str:
    """Return a line for an htpasswd file."""
    if ":" in user:
        return f"invalid username: {user}"
    return f"{user}:{bcrypt(password)}"


# --- AES --------------------------------------------------------------------------------------

_BLOCK = 16


def _cipher(password: str, iv: bytes) -> Cipher[CBC]:
    return Cipher(AES256(encode(password)[:32].ljust(32, b"\0")), CBC(iv))


@functions.add("sprig_encryptAES", "string", "string")
def encrypt_aes(password: str, text: str) -> str:
    """Return *text* encrypted with AES-256-CBC, in base64 after its random first block."""
    if not text:
        return ""
    data = encode(text)
    padding = _BLOCK - len(data) % _BLOCK
    iv = secrets.token_bytes(_BLOCK)
    encryptor = _cipher(password, iv).encryptor()
    padded = data + bytes([padding]) * padding
    return base64.b64encode(iv + encryptor.update(padded) + encryptor.finalize()).decode()


def _incomplete(text: str, data: bytes) -> str:
    """Return where Go runs out of the *data* that was encoded as *text*, if it does."""
    if len(data) < _BLOCK:
        capacity = len(text) // 4 * 3
        return f"runtime error: slice bounds out of range [:{_BLOCK}] with capacity {capacity}"
    if len(data) % _BLOCK:
        return "crypto/cipher: input not full blocks"
    return "runtime error: index out of range [-1]" if len(data) == _BLOCK else ""


@functions.add("sprig_decryptAES", "string", "string")
def decrypt_aes(password: str, text: str) -> str:
    """Return what `encrypt_aes` made *text* of."""
    if not text:
        return ""
    data = encode(decode_base64(text))
    if problem := _incomplete(text, data):
        raise GoError(problem)
    decryptor = _cipher(password, data[:_BLOCK]).decryptor()
    padded = decryptor.update(data[_BLOCK:]) + decryptor.finalize()
    if padded[-1] > len(padded):
        msg = f"runtime error: slice bounds out of range [:{len(padded) - padded[-1]}]"
        raise GoError(msg)
    return decode(padded[: len(padded) - padded[-1]])


# --- Master Password (masterpassword.app, algorithm version 1) --------------------------------

_SCOPE = b"com.lyndir.masterpassword"
_TEMPLATES = {
    "maximum": "anoxxxxxxxxxxxxxxxxx axxxxxxxxxxxxxxxxxno",
    "long": (
        "CvcvnoCvcvCvcv CvcvCvcvnoCvcv CvcvCvcvCvcvno CvccnoCvcvCvcv CvccCvcvnoCvcv"
        " CvccCvcvCvcvno CvcvnoCvccCvcv CvcvCvccnoCvcv CvcvCvccCvcvno CvcvnoCvcvCvcc"
        " CvcvCvcvnoCvcc CvcvCvcvCvccno CvccnoCvccCvcv CvccCvccnoCvcv CvccCvccCvcvno"
        " CvcvnoCvccCvcc CvcvCvccnoCvcc CvcvCvccCvccno CvccnoCvcvCvcc CvccCvcvnoCvcc"
        " CvccCvcvCvccno"
    ),
    "medium": "CvcnoCvc CvcCvcno",
    "short": "Cvcn",
    "basic": "aaanaaan aannaaan aaannaaa",
    "pin": "nnnn",
}
_VOWELS, _CONSONANTS = "AEIOU", "BCDFGHJKLMNPQRSTVWXYZ"
_LETTERS = _VOWELS + _VOWELS.lower() + _CONSONANTS + _CONSONANTS.lower()
_CLASSES = {
    "V": _VOWELS,
    "C": _CONSONANTS,
    "v": _VOWELS.lower(),
    "c": _CONSONANTS.lower(),
    "A": _VOWELS + _CONSONANTS,
    "a": _LETTERS,
    "n": "0123456789",
    "o": "@&%?,=[]_:-+*$#!'^~;()/.",
    "x": _LETTERS + "0123456789!@#$%^&*()",
}


@functions.add("sprig_derivePassword", "uint32", "string", "string", "string", "string")
def derive_password(counter: int, kind: str, password: str, user: str, site: str) -> str:
    """Return the password of *site* that the Master Password algorithm derives."""
    if kind not in _TEMPLATES:
        return f"cannot find password template {kind}"
    salt = _SCOPE + _with_length(user)
    key = hashlib.scrypt(encode(password), salt=salt, n=32768, r=8, p=2, maxmem=80 << 20, dklen=64)
    message = _SCOPE + _with_length(site) + struct.pack(">I", counter)
    seed = hmac.new(key, message, "sha256").digest()
    choices = _TEMPLATES[kind].split()
    template = choices[seed[0] % len(choices)]
    alphabets = [_CLASSES[char] for char in template]
    return "".join(
        alphabet[byte % len(alphabet)] for alphabet, byte in zip(alphabets, seed[1:], strict=False)
    )


def _with_length(text: str) -> bytes:
    data = encode(text)
    return struct.pack(">I", len(data)) + data
