"""The shapes of secrets that people paste into a chat by mistake.

Rule: pure. A shape is a format that its issuer documents, with the prefix or the check digits that tell it from other
text. Passwords in prose have no shape and are not found. Each search takes time in proportion to the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_NOT_WITHIN = r"(?<![A-Za-z0-9_-])"
_ENDS = r"(?![A-Za-z0-9_-])"
_FEW = 8  # different characters: fewer than in any random secret
_IBAN_LENGTHS = range(15, 35)


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of secret. The named group `secret` of the pattern, if it has one, is the part to remove."""

    label: str  # as people and the model read it
    pattern: re.Pattern[str]
    hints: tuple[str, ...] = ()  # one of them stands in each text with such a secret: a cheap first check
    is_real: Callable[[str], bool] = bool


def _token(label: str, pattern: str, *hints: str) -> Shape:
    return Shape(label, re.compile(f"{_NOT_WITHIN}(?:{pattern}){_ENDS}"), hints, _has_digit_and_letter)


def _has_digit_and_letter(text: str) -> bool:
    """Return whether the text can be random: names of CSS classes and placeholders such as sk-xxxx are not."""
    return any(map(str.isdigit, text)) and any(map(str.isalpha, text)) and len(set(text)) > _FEW


def is_card_number(text: str) -> bool:
    """Return whether the digits have a card's length for their issuer, and the check digit of ISO/IEC 7812 (Luhn)."""
    digits = [int(character) for character in text if character.isdecimal()]
    number = "".join(map(str, digits))
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return _ISSUED.fullmatch(number) is not None and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Return whether the text has the check digits of an IBAN: ISO 13616, modulo 97."""
    compact = "".join(text.split()).upper()
    turned = compact[4:] + compact[:4]
    return len(compact) in _IBAN_LENGTHS and int("".join(str(int(character, 36)) for character in turned)) % 97 == 1


# The issuers' ranges, with their lengths: Visa, Mastercard, American Express, Discover, JCB, Diners Club, UnionPay.
_ISSUED = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}|62\d{14,17}"
)
# In a row, or in the groups in which cards and forms show them. No letter, digit or decimal point stands beside it.
_CARD_DIGITS = (
    r"(?<![\w.,+-])(?<!\d[ /])(?:\d{13,19}|\d{4}(?P<gap>[ -])\d{4}(?P=gap)\d{4}(?P=gap)\d{1,4}(?:(?P=gap)\d{1,3})?"
    r"|\d{4}(?P<amex>[ -])\d{6}(?P=amex)\d{4,5})(?![\w/-])(?![ ]\d{4})(?![.,]\d)"
)

CARD = Shape("card number", re.compile(_CARD_DIGITS), is_real=is_card_number)
IBAN = Shape(
    "IBAN",
    re.compile(
        r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?)(?![A-Za-z0-9])"
    ),
    is_real=is_iban,
)

# A key that was cut off, such as by Slack's limit, is removed up to the text's end.
_PRIVATE_KEY = (
    r"-----BEGIN (?P<kind>[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----"
    r"(?:(?s:.){0,20000}?-----END (?P=kind)-----|[A-Za-z0-9+/=:,\s\\-]*)"
)

# Sources: the issuers' pages on their tokens' formats, and those of GitHub's secret scanning.
SHAPES: tuple[Shape, ...] = (
    Shape("private key", re.compile(_PRIVATE_KEY), ("PRIVATE KEY",)),
    _token("Slack token", r"xox[abceoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}|xapp-\d-[A-Za-z0-9-]{20,}", "xox", "xapp-"),
    Shape(
        "Slack webhook address",
        re.compile(r"https://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/[A-Za-z0-9_/]{20,}"),
        ("hooks.slack",),
    ),
    _token("API key", r"sk-[A-Za-z0-9_-]{20,}", "sk-"),  # OpenAI, Anthropic, OpenRouter and this bot's own
    _token("AWS access key", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}", "AKIA", "ASIA", "ABIA", "ACCA"),
    Shape(
        "AWS secret key",
        re.compile(
            r"(?i:aws.{0,20}?(?:secret|private).{0,20}?key\W{1,8}|secret_?access_?key\W{1,8})"
            r"(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"
        ),
        is_real=_has_digit_and_letter,
    ),
    _token("GitHub token", r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}", "gh", "github_pat_"),
    _token("GitLab token", r"gl(?:pat|dt|rt|ft|soat|cbt|ptt|oas|agent|imt|ffct)-[A-Za-z0-9_.-]{20,}", "gl"),
    _token("Google API key", r"AIza[A-Za-z0-9_-]{35}", "AIza"),
    _token(
        "Google token",
        r"GOCSPX-[A-Za-z0-9_-]{28}|ya29\.[A-Za-z0-9_-]{20,}|1//0[A-Za-z0-9_-]{40,}",
        "GOCSPX-",
        "ya29.",
        "1//0",
    ),
    _token("Stripe key", r"(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9]{16,}", "k_live_", "k_test_", "whsec_"),
    _token("SendGrid key", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", "SG."),
    _token("npm token", r"npm_[A-Za-z0-9]{36}", "npm_"),
    _token("PyPI token", r"pypi-[A-Za-z0-9_-]{50,}", "pypi-"),
    _token("Hugging Face token", r"hf_[A-Za-z0-9]{34,}", "hf_"),
    _token("DigitalOcean token", r"do[opr]_v1_[a-f0-9]{64}", "_v1_"),
    _token("Shopify token", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}", "shp"),
    _token("Twilio key", r"SK[0-9a-f]{32}", "SK"),
    _token("Atlassian token", r"ATATT3[A-Za-z0-9_=-]{100,}", "ATATT3"),
    _token("Vault token", r"hv[sbr]\.[A-Za-z0-9_-]{24,}", "hvs.", "hvb.", "hvr."),
    _token("Telegram token", r"\d{8,10}:AA[A-Za-z0-9_-]{33}", ":AA"),
    Shape(
        "Azure account key",
        re.compile(r"(?i:AccountKey|SharedAccessKey)=(?P<secret>[A-Za-z0-9+/]{42,86}={0,2})"),
        ("Key=", "key="),
    ),
    _token("token", r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}", "eyJ"),  # JSON Web Token
    Shape(
        "password in an address",
        re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@<>|]{1,100}:(?P<secret>[^\s/@<>|]{1,200})@[A-Za-z0-9[]"),
        ("://",),
    ),
)
