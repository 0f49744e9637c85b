"""TLS for the listener, from a certificate and a key in files."""

import ssl

from engine import BadSettings


def tls_context(certificate: str, key: str) -> ssl.SSLContext | None:
    """What connections are wrapped in; None where there is no certificate.

    Args:
        certificate: path of a PEM file with the chain, or "".
        key: path of a PEM file with the private key.

    Raises:
        BadSettings: a file cannot be read, or the two do not belong together.
    """
    if not certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        raise BadSettings(f"collect.tls_certificate, collect.tls_key: {error.reason or error}") from None
    except OSError as error:
        raise BadSettings(f"collect.tls_certificate, collect.tls_key: {error.strerror}") from None
    return context


def _no_password() -> str:
    """OpenSSL would ask on the terminal, and a server has nobody there."""
    raise BadSettings("collect.tls_key: the key is encrypted; give one that is not")
