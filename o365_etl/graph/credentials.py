"""The credential of a connection in the shape msal wants: a secret, or a certificate with its key.

What does not live here: where the configuration keeps it (`o365_etl.config.SecretRef`) and how it is used (`sign_in`).
"""

from __future__ import annotations

import re

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from o365_etl.config import Connection
from o365_etl.errors import ConfigError

Credential = str | dict[str, str]

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


def credential(connection: Connection) -> Credential:
    """Read the connection's secret or certificate. Raises `ConfigError` naming the key and the mend."""
    key = f"connections[{connection.name!r}]"
    if connection.client_secret is not None:
        return connection.client_secret.read(f"{key}.client_secret")
    if connection.certificate is None:
        raise ConfigError(f"{key}: needs client_secret or certificate")
    return certificate(connection.certificate.read(f"{key}.certificate"), f"{key}.certificate")


def certificate(pem: str, key: str) -> dict[str, str]:
    """The private key and the certificate that belongs to it, out of one PEM text in any order.

    With the certificate at hand msal signs with PS256 and names it by its SHA-256 thumbprint.
    """
    keys: list[str] = []
    certificates: list[str] = []
    for block in _BLOCK.finditer(pem):
        if block[1].endswith("PRIVATE KEY"):
            keys.append(block[0])
        elif block[1] == "CERTIFICATE":
            certificates.append(block[0])
    if len(keys) != 1 or not certificates:
        raise ConfigError(f"{key}: needs one private key and its certificate", remedy="Put both into one PEM file.")
    try:
        public = load_pem_private_key(keys[0].encode(), password=None).public_key()
        if not isinstance(public, rsa.RSAPublicKey):
            raise ConfigError(f"{key}: Microsoft takes RSA keys only", remedy="Create an RSA key and its certificate.")
        wanted = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for text in certificates:
            own = x509.load_pem_x509_certificate(text.encode()).public_key()
            if own.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == wanted:
                return {"private_key": keys[0], "public_certificate": text}
    except TypeError as error:
        raise ConfigError(f"{key}: the private key has a passphrase", remedy="Store it without one, 0600.") from error
    except ValueError as error:
        raise ConfigError(f"{key}: not a readable PEM file", remedy="Create the key and certificate anew.") from error
    raise ConfigError(f"{key}: the certificate does not belong to the key", remedy="Put the matching pair into it.")
