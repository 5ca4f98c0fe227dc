"""Pictures and documents that a message names by an address, which LiteLLM fetches for vendors that take them by value.

What must stay true: nothing in this machine's own networks is connected to, however its address is written; and what is
connected to is the address that was looked at, whatever the name leads to a moment later.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import httpx

HOLDING_ANOTHER = [
    ip_network(network) for network in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")
]
"""IPv6 addresses that stand for one of IPv4, of any network: its own old form, NAT64, Teredo and 6to4."""

Validate = Callable[[str], tuple[str, str]]
"""A URL as it may be fetched, with an address for its name, and the Host header to send. Raises for what may not."""


def pinned(validate: Validate, refusal: type[Exception]) -> Validate:
    """LiteLLM's own `validate`, which leaves the name in a URL of https: it could lead elsewhere when it is connected
    to, and the certificate is looked at only then. `refusal` is what it raises.
    """

    def pin(url: str) -> tuple[str, str]:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            found, host = validate(url)
        else:
            name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            place = f"{name}:{parts.port or 443}"
            found, host = validate(parts._replace(scheme="http", netloc=place).geturl())
            found, host = "https" + found.removeprefix("http"), host.removesuffix(":443")
        address = ip_address(urlsplit(found).hostname or "")
        if any(address in network for network in HOLDING_ANOTHER):
            raise refusal("URL targets an address that stands for another")
        return found, host

    return pin


def certify(request: httpx.Request) -> None:
    """Have a certificate looked at for the name that the Host header says, where the URL has an address for it."""
    if request.url.scheme != "https" or not _is_address(request.url.host):
        return
    name = httpx.URL(f"https://{request.headers['host']}").host
    if not _is_address(name):
        request.extensions = {**request.extensions, "sni_hostname": name}


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
