"""Keys and certificates of the simulator: its own authority, the servers' certificate, the partner app's certificate.

They are made once per folder and used again, so that a test suite pays for the keys only once. Keys are files of mode
0600. Nothing here is of any worth outside the simulator.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALIDITY = dt.timedelta(days=3650)
_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Certificates:
    """Where the PEM files are, and the partner app's certificate as the sign-in service registered it."""

    ca: Path
    server: Path
    app: Path
    app_certificate: x509.Certificate

    def server_context(self) -> ssl.SSLContext:
        """The TLS settings of the servers."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server)
        return context


def prepare(folder: Path) -> Certificates:
    """The certificates in `folder`, made first if one of them is missing."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca, server, app = folder / "ca.pem", folder / "server.pem", folder / "app.pem"
    if not (ca.is_file() and server.is_file() and app.is_file()):
        _make_all(ca, server, app)
    return Certificates(ca, server, app, x509.load_pem_x509_certificate(app.read_bytes()))


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only this user can read, under a temporary name first."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    temporary.replace(path)


def _make_all(ca: Path, server: Path, app: Path) -> None:
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    # The assertion algorithms of the sign-in service are PS256 and RS256, so the app's key must be RSA
    app_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    ca_certificate = _sign("o365_etl simulator CA", ca_key, issuer=None, issuer_key=ca_key)
    server_certificate = _sign("localhost", server_key, issuer=ca_certificate, issuer_key=ca_key)
    app_certificate = _sign("o365_etl partner app", app_key, issuer=ca_certificate, issuer_key=ca_key)
    write_private(server, _pem(server_certificate) + _key_pem(server_key))
    write_private(app, _pem(app_certificate) + _key_pem(app_key))
    write_private(ca, _pem(ca_certificate))


def _sign(common_name: str, key: _Key, issuer: x509.Certificate | None, issuer_key: _Key) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    start = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    is_ca = issuer is None
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + VALIDITY)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=0 if is_ca else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(_key_usage(is_ca), critical=True)
    )
    if not is_ca:
        hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _key_usage(is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: _Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
