"""A written corpus for the redaction: what people write with a secret in it, and what only looks like one.

The secrets are made at random, in their issuers' formats, so that none stands in the repository.
"""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Callable
from random import Random

ALPHANUMERIC = string.ascii_letters + string.digits
URL_SAFE = ALPHANUMERIC + "_-"


def _some(random: Random, alphabet: str, length: int) -> str:
    return "".join(random.choices(alphabet, k=length))


def _with_luhn(random: Random, prefix: str, length: int) -> str:
    body = prefix + _some(random, string.digits, length - len(prefix) - 1)
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in body[::-2]]
    return f"{body}{-(sum(doubled) + sum(map(int, body[-2::-2]))) % 10}"


def _grouped(number: str, *sizes: int, by: str) -> str:
    parts, rest = list[str](), number
    for size in sizes:
        parts, rest = [*parts, rest[:size]], rest[size:]
    return by.join([part for part in [*parts, rest] if part])


def _jwt(random: Random) -> str:
    def part(value: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    header, claims = part({"alg": "HS256", "typ": "JWT"}), part({"sub": _some(random, URL_SAFE, 9)})
    return f"{header}.{claims}.{_some(random, URL_SAFE, 43)}"


def _private_key(random: Random) -> str:
    kind = random.choice(["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY"])
    lines = [_some(random, ALPHANUMERIC + "+/", 64) for _ in range(random.randint(3, 25))]
    ending = random.choice([f"-----END {kind}-----", ""])  # people do not always copy the last line
    return "\n".join([f"-----BEGIN {kind}-----", *lines, ending])


def _iban(random: Random) -> str:
    account = _some(random, string.digits, 18)
    checksum = 98 - int(f"{account}131400") % 97  # DE00, as digits
    return f"DE{checksum:02}{account}"


SECRETS: dict[str, list[Callable[[Random], str]]] = {
    "card number": [
        lambda r: _with_luhn(r, "4", 16),
        lambda r: _grouped(_with_luhn(r, "4", 16), 4, 4, 4, 4, by=" "),
        lambda r: _grouped(_with_luhn(r, "52", 16), 4, 4, 4, 4, by="-"),
        lambda r: _grouped(_with_luhn(r, "37", 15), 4, 6, 5, by=" "),
        lambda r: _with_luhn(r, "34", 15),
        lambda r: _with_luhn(r, "6011", 16),
        lambda r: _with_luhn(r, "2300", 16),
        lambda r: _with_luhn(r, "3600", 14),
        lambda r: _grouped(_with_luhn(r, "3530", 16), 4, 4, 4, 4, by=" "),
    ],
    "private key": [_private_key],
    "Slack token": [
        lambda r: f"xoxb-{_some(r, string.digits, 12)}-{_some(r, string.digits, 13)}-{_some(r, ALPHANUMERIC, 24)}",
        lambda r: (
            f"xoxp-{_some(r, string.digits, 12)}-{_some(r, string.digits, 12)}-{_some(r, '0123456789abcdef', 32)}"
        ),
        lambda r: (
            f"xapp-1-A{_some(r, string.digits, 10)}-{_some(r, string.digits, 13)}-{_some(r, 'abcdef0123456789', 64)}"
        ),
        lambda r: f"xoxe.xoxp-1-{_some(r, ALPHANUMERIC, 160)}",
    ],
    "Slack webhook address": [
        lambda r: (
            f"https://hooks.slack.com/services/T{_some(r, string.digits, 9)}"
            f"/B{_some(r, string.digits, 9)}/{_some(r, ALPHANUMERIC, 24)}"
        )
    ],
    "API key": [
        lambda r: f"sk-{_some(r, ALPHANUMERIC, 48)}",
        lambda r: f"sk-proj-{_some(r, URL_SAFE, 156)}a",
        lambda r: f"sk-ant-api03-{_some(r, URL_SAFE, 93)}AA",
        lambda r: f"sk-or-v1-{_some(r, 'abcdef0123456789', 64)}",
        lambda r: f"sk-att-{_some(r, 'abcdef0123456789', 12)}-{_some(r, ALPHANUMERIC, 43)}",
    ],
    "AWS access key": [lambda r: f"AKIA{_some(r, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 13)}2A7"],
    "AWS secret key": [
        lambda r: f"aws_secret_access_key = {_some(r, ALPHANUMERIC + '/+', 40)}",
        lambda r: f"AWS_SECRET_ACCESS_KEY={_some(r, ALPHANUMERIC + '/+', 40)}",
        lambda r: f'"SecretAccessKey": "{_some(r, ALPHANUMERIC + "/+", 40)}"',
    ],
    "GitHub token": [
        lambda r: f"ghp_{_some(r, ALPHANUMERIC, 36)}",
        lambda r: f"gho_{_some(r, ALPHANUMERIC, 36)}",
        lambda r: f"ghs_{_some(r, ALPHANUMERIC, 36)}",
        lambda r: f"github_pat_{_some(r, ALPHANUMERIC, 22)}_{_some(r, ALPHANUMERIC, 59)}",
    ],
    "GitLab token": [lambda r: f"glpat-{_some(r, URL_SAFE, 19)}a"],
    "Google API key": [lambda r: f"AIza{_some(r, URL_SAFE, 34)}x"],
    "Google token": [
        lambda r: f"GOCSPX-{_some(r, URL_SAFE, 27)}x",
        lambda r: f"ya29.{_some(r, URL_SAFE, 119)}x",
    ],
    "Stripe key": [
        lambda r: f"sk_live_{_some(r, ALPHANUMERIC, 24)}",
        lambda r: f"rk_test_{_some(r, ALPHANUMERIC, 99)}",
        lambda r: f"whsec_{_some(r, ALPHANUMERIC, 32)}",
    ],
    "SendGrid key": [lambda r: f"SG.{_some(r, URL_SAFE, 22)}.{_some(r, URL_SAFE, 42)}x"],
    "npm token": [lambda r: f"npm_{_some(r, ALPHANUMERIC, 36)}"],
    "PyPI token": [lambda r: f"pypi-AgEIcHlwaS5vcmc{_some(r, URL_SAFE, 120)}x"],
    "Hugging Face token": [lambda r: f"hf_{_some(r, ALPHANUMERIC, 34)}"],
    "DigitalOcean token": [lambda r: f"dop_v1_{_some(r, 'abcdef0123456789', 64)}"],
    "Shopify token": [lambda r: f"shpat_{_some(r, 'abcdef0123456789', 32)}"],
    "Twilio key": [lambda r: f"SK{_some(r, 'abcdef0123456789', 32)}"],
    "Atlassian token": [lambda r: f"ATATT3xFfGF0{_some(r, URL_SAFE, 180)}=A1B2C3D4"],
    "Vault token": [lambda r: f"hvs.{_some(r, URL_SAFE, 93)}x"],
    "Telegram token": [lambda r: f"{_some(r, '123456789', 10)}:AA{_some(r, URL_SAFE, 32)}x"],
    "Azure account key": [
        lambda r: f"AccountName=store1;AccountKey={_some(r, ALPHANUMERIC + '+/', 86)}==;EndpointSuffix=core.windows.net"
    ],
    "token": [_jwt],
    "password in an address": [
        lambda r: f"postgresql://app:{_some(r, ALPHANUMERIC + '!$%', 14)}@db.internal:5432/orders",
        lambda r: f"https://deploy:{_some(r, ALPHANUMERIC, 20)}@git.example.com/team/app.git",
    ],
}
IBANS: list[Callable[[Random], str]] = [_iban, lambda r: _grouped(_iban(r), 4, 4, 4, 4, 4, by=" ")]

# In what people write around a secret.
AROUND = (
    "My login does not work, I use {}",
    "{}",
    "here it is: {}, please check what is wrong",
    "Kannst du nachsehen, warum {} abgelehnt wird?",
    "J'ai collé {} dans le fichier, et rien ne se passe.",
    "```\nexport VALUE={}\n```",
    'config says "{}" but the service answers 401',
    "支払いが {} でできません。",
    "No funciona ({}). ¿Qué hago?",
    "it broke after I sent `{}` to the vendor.",
    "<https://example.com|the page> wants {}\nwhat now?",
    "old: {}; new one not issued yet",
)

# What looks like a secret to a careless pattern, and is none. None of it may be removed.
HARMLESS = (
    "My order 4417-1234-5678-9112 has not arrived.",  # no check digit
    "The tracking number is 1Z999AA10123456784.",
    "DHL says 00340434161094021501, what now?",
    "Deutsche Post: RR123456785DE",
    "The IMEI of my phone is 490154203237518.",
    "IMEI 356938035643809 is blocked",
    "Serial number 4485 2750 9911 only, the label is torn.",
    "Call me at +49 30 901820 1234 or +1 415 555 2671.",
    "Our number: 0049 176 1234 5678 90",
    "My phone is 4915112345678901 with the country code",
    "Invoice 20261130-000123456789, due on 2026-12-30",
    "ISBN 978-3-16-148410-0 is out of stock.",
    "EAN 4006381333931 scans wrong",
    "GTIN 00012345600012",
    "The process took 1764547200123 ms, started at 1764547200.123456",
    "trace 4bf92f3577b34da6a3ce929d0e0e4736 span 00f067aa0ba902b7",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 broke it",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "md5 d41d8cd98f00b204e9800998ecf8427e",
    "request id 7f3c1f0e-6a52-4e0b-9d2f-1f8e4a5c9b10",
    "session 01ARZ3NDEKTSV4RRFFQ69G5FAV",
    'class="sk-fading-circle sk-circle-fade-dot"',
    "the CSS class sk-cube-grid-with-a-long-name-here is missing",
    "sk-xxxxxxxxxxxxxxxxxxxxxxxx is what the page shows as an example",
    "set OPENAI_API_KEY=sk-... in the file",
    "put sk-YOUR-API-KEY-GOES-HERE there",
    "xoxb-your-token",
    "the token starts with xoxb- and the other one with xapp-",
    "ghp_ is the prefix of a classic token",
    "where do I find my AKIA key?",
    "AKIA stands for access key",
    "akiaabcdefghijklmnop",
    "AIza is how all keys begin",
    "Here is -----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLI\n-----END PUBLIC KEY-----",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGq3v2cPSsbT1pDqZk9nK4bX7cYwU8oFJr2L5xKQ9vAb ana@laptop",
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7 ana@laptop",
    "The private key is missing, where do I put it?",
    "What is the difference between a PRIVATE KEY and a public key?",
    "https://example.com/a:b@c is not a login",
    "https://www.example.com:8443/path?at=me@example.com",
    "mail me at ana@example.com or http://example.com/@ana",
    "ssh://git@github.com:22/team/repo.git",
    "postgresql://localhost:5432/orders does not answer",
    "https://user@example.com/ asks for a password",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4",
    "eyJ is how a token begins",
    "eyJhbGciOiJub25lIn0 alone is only a header",
    "hooks.slack.com is blocked by our firewall",
    "https://hooks.slack.com/services/ answers 404",
    "npm_config_registry is not set",
    "npm_lifecycle_event and npm_package_version are empty",
    "pip says pypi-mirror is down",
    "hf_transfer is slow",
    "SG. is for Singapore; SG.1 is a product",
    "SK1234 is the flight to Oslo",
    "SK Telecom, SKU SK00112233445566778899aabbcc",
    "glpat- is missing in front",
    "glossary-of-terms-and-conditions-2026",
    "ghost_writer_with_a_very_long_name_here_for_sure_1",
    "shpat_ tokens are for Shopify",
    "AccountKey=; the field is empty",
    "the setting aws_secret_access_key is empty",
    "aws secret access key: where do I find it?",
    "1234567890:AA is not enough",
    "The ratio is 1764547200:AABBCC",
    "0x4e6f7420612063617264206e756d6265720000",
    "coordinates 52.5200066, 13.4049540 and 4111111.1111111111",
    "pi is 3.14159265358979323846",
    "version 4.1.1.1-1111.1111.111",
    "amount: 4,111,111,111,111,111 yen",
    "room 4111, floor 11, seat 1111",
    "years 1995 1996 1997 1998 1999",
    "5105 1051 0510 5101 is what the form refuses",  # no check digit
    "UUID 4111111111111111-0000 is cut",
    "the file is named 4111111111111111_backup.tar",
    "192.168.100.100 192.168.100.101",
    "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
    "MAC 00:1A:2B:3C:4D:5E",
    "ticket INC0012345678, case 00123456",
    "Bestellnummer 302-1234567-1234567 bei Amazon",
    "customer 9000 0000 0000 0001",
    "The VIN is WVWZZZ1JZXW000001",
    "SWIFT DEUTDEFF500, no account yet",
    "DE12 is the highway; DE 1234 5678 the old number",
    "GB29 NWBK 6016 1331 9268 18 has a wrong check digit",
    "my tax number is 12/345/67890",
    "Steuer-ID 86 095 742 719",
    "Sozialversicherung 65 070803 A 012",
    "MacBook C02XG2JMJGH5, iPhone DNQXK2B1KXKY",
    "license key ABCDE-FGHIJ-KLMNO-PQRST-UVWXY does not activate",
    "Windows product ID 00330-80000-00000-AA123",
    "kubectl get pod web-7d4b9c6f5d-x2x9z -n prod",
    "arn:aws:iam::123456789012:role/deploy",
    "arn:aws:s3:::my-bucket/AKIDEXAMPLE",
    "s3://bucket/aws-secret-key-rotation/readme.txt",
    "projects/my-project-123456/secrets/db-password/versions/1",
    "otpauth is not set up yet",
    "What does SECRET_KEY_BASE do?",
    "password is wrong",
    "I forgot my password, username is ana.maria",
    "PIN?",
    "The code 123456 has expired.",
    "BEGIN PRIVATE KEY is what the file should start with",
    "in the year 2026 we sold 4000000000000 units",
    "phone 6011 0000 0000",
    "card ending in 4242",
    "the card 4242 **** **** 4242 was declined",
    "1/1/2026-31/12/2026 4532",
    "Zeile 4539 1488 0343: Fehler",
    "dop_v1_ is the prefix",
    "hvs.short",
    "SKabcdef is a folder",
    "ya29. is where Google's tokens begin",
    "token ATATT3 was revoked",
    "whsec_test",
    "sk_live_ and sk_test_ keys: which one do I use?",
)
