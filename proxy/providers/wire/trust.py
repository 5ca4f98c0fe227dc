"""Whom a provider's connection trusts: what LiteLLM decides from the environment, without LiteLLM.

`SSL_VERIFY` is a file of certificates, or false (nobody is checked); `SSL_CERT_FILE` is such a file too; else it is
certifi's list. `SSL_SECURITY_LEVEL` is OpenSSL's list of ciphers, `SSL_ECDH_CURVE` the curve of the key exchange.
"""

from __future__ import annotations

import os
import ssl

import certifi

READ = 256 * 2**10


def context() -> ssl.SSLContext:
    """A new context for clients. Raises `OSError` for a file that holds no certificates."""
    # uvloop reads TLS into a new block of 256 KiB each time. The C library maps and unmaps such a block, 14 us, until
    # a larger one has been freed once; then it keeps them.
    bytearray(2 * READ)
    verify = os.environ.get("SSL_VERIFY", "true")
    made = ssl.create_default_context(cafile=_file(verify))
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    if ciphers := os.environ.get("SSL_SECURITY_LEVEL"):
        made.set_ciphers(ciphers)
    if curve := os.environ.get("SSL_ECDH_CURVE"):
        made.set_ecdh_curve(curve)
    if verify.strip().lower() == "false" and not os.path.exists(verify):
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def _file(verify: str) -> str:
    for path in (verify, os.environ.get("SSL_CERT_FILE", "")):
        if path and os.path.exists(path):
            return path
    return certifi.where()
