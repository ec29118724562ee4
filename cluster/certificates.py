"""The cluster's keys: one authority, a certificate for each part, a key that signs ServiceAccount tokens."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.layout import DOMAIN, NODE, NODE_ADDRESS, SERVICE_ADDRESS

__all__ = ["LEAVES", "Leaf", "ensure_certificates"]

_VALID: Final = timedelta(days=3650)
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """Whom a certificate names and what it may be used for."""

    name: str
    user: str
    group: str = ""
    hosts: tuple[str, ...] = ()
    """DNS names and addresses of a server; a certificate without any cannot be a server's."""
    client: bool = True


LEAVES: Final = (
    Leaf(
        name="apiserver",
        user="kube-apiserver",
        hosts=(
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            f"kubernetes.default.svc.{DOMAIN}",
            "localhost",
            _LOOPBACK,
            NODE_ADDRESS,
            SERVICE_ADDRESS,
        ),
        client=False,
    ),
    Leaf(name="etcd", user="etcd", hosts=(_LOOPBACK,)),
    Leaf(name="apiserver-to-etcd", user="kube-apiserver-etcd-client"),
    Leaf(name="apiserver-to-kubelet", user="kube-apiserver-kubelet-client", group="system:masters"),
    Leaf(name="admin", user="compass-demo-admin", group="system:masters"),
    Leaf(name="controller-manager", user="system:kube-controller-manager", hosts=(_LOOPBACK,)),
    Leaf(name="scheduler", user="system:kube-scheduler", hosts=(_LOOPBACK,)),
    Leaf(name="proxy", user="system:kube-proxy"),
    Leaf(name="kubelet", user=f"system:node:{NODE}", group="system:nodes"),
    Leaf(name="kubelet-server", user=f"system:node:{NODE}", hosts=(NODE, _LOOPBACK, NODE_ADDRESS), client=False),
    Leaf(name="provisioner", user="compass-demo:provisioner"),
    Leaf(name="policies", user="compass-demo:policies"),
)


def ensure_certificates(folder: Path) -> bool:
    """Make what is missing of ``<name>.crt``, ``<name>.key`` for each leaf, ``ca.crt`` and ``sa.key``, ``sa.pub``.

    A folder of an interrupted run is made again as a whole. Returns whether anything was made.
    """
    complete = folder / "complete"
    if complete.exists():
        return False
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(key)
    _write(folder / "ca.crt", authority.public_bytes(serialization.Encoding.PEM))
    _write(folder / "ca.key", _pem(key))
    for leaf in LEAVES:
        leaf_key = ec.generate_private_key(ec.SECP256R1())
        certificate = _leaf(leaf, leaf_key.public_key(), authority, key)
        _write(folder / f"{leaf.name}.crt", certificate.public_bytes(serialization.Encoding.PEM))
        _write(folder / f"{leaf.name}.key", _pem(leaf_key))
    tokens = ec.generate_private_key(ec.SECP256R1())
    _write(folder / "sa.key", _pem(tokens))
    _write(
        folder / "sa.pub",
        tokens.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    )
    complete.touch()
    return True


def _name(parts: Iterable[tuple[x509.ObjectIdentifier, str]]) -> x509.Name:
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts if value])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # A machine's clock may be set back a little after it was started.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _VALID)
    )


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name([(NameOID.COMMON_NAME, "compass-demo-lab")])
    return (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    leaf: Leaf, public: ec.EllipticCurvePublicKey, authority: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    subject = _name([(NameOID.ORGANIZATION_NAME, leaf.group), (NameOID.COMMON_NAME, leaf.user)])
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH] if leaf.client else []
    builder = (
        _builder(subject, authority.subject, public)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    if leaf.hosts:
        uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
        builder = builder.add_extension(x509.SubjectAlternativeName(map(_host, leaf.hosts)), critical=False)
    return builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False).sign(key, hashes.SHA256())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
