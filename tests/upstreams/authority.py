"""A certificate authority for loopback servers: its own file, and contexts of servers whose certificates it signed."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PLAIN = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()


class Authority:
    """`file` is what its clients trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an authority")])
        self.file = folder / "authority.pem"
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        made = self._certificate(self._name, self._key, days=1).add_extension(constraints, True)
        signed = made.add_extension(usage, True).sign(self._key, hashes.SHA256())
        self.file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def server(self, *names: str, days: int = 1) -> ssl.SSLContext:
        """The context of a server with these names and addresses; with `days` below 0 it expired so long ago."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a server")])
        alternatives = x509.SubjectAlternativeName([_general(name) for name in names])
        made = self._certificate(subject, key, days).add_extension(alternatives, False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        signed = made.add_extension(issuer, False).sign(self._key, hashes.SHA256())
        path = self._folder / "server.pem"
        private = key.private_bytes(serialization.Encoding.PEM, *PLAIN)
        path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _certificate(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        first, last = sorted([now - datetime.timedelta(days=2), now + datetime.timedelta(days=days)])
        made = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number(), first, last)
        return made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
