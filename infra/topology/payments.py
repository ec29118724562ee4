"""The payment service and the traffic that its customers make."""

from infra.topology import names
from infra.topology.model import Exposure, HttpProbe, Port, Scratch, Service
from infra.topology.site import Site, secret_file

__all__ = ["DRAIN_SECONDS", "connection_limit", "sample_app", "traffic"]

OWN_USER = 10001
DRAIN_SECONDS = 5
"""How long one of several replicas serves on after it was told to stop: until every node routes around it."""

_ADMIN_PORT = 8001
# One replica's share: of the pool for requests, and of the connections beside it.
_POOL = 12
_BESIDE = 3
# The server takes 100: its operators, the exporter and the owner of the database keep the rest.
_DIVIDED = 72
_LEAST_LIMIT = 40


def _pool_size(replicas: int) -> int:
    """Connections of each replica's pool. During an update there is one replica more."""
    return max(2, min(_POOL, _DIVIDED // (replicas + 1) - _BESIDE))


def connection_limit(site: Site) -> int:
    """Connections that the service's role may have: for all replicas, one more of them, and pools that change."""
    replicas = site.most_sample_apps
    return max(_LEAST_LIMIT, (replicas + 1) * (_pool_size(replicas) + _BESIDE) + 10)


def sample_app(site: Site) -> Service:
    """The payment service; ``payment-service`` in every signal."""
    several = site.most_sample_apps > 1
    shared = {
        "PAYMENT_PEERS": f"sample-app-peers:{_ADMIN_PORT}",
        "PAYMENT_POOL_MAX_SIZE": str(_pool_size(site.most_sample_apps)),
        "PAYMENT_DRAIN_SECONDS": str(DRAIN_SECONDS),
    }
    return Service(
        name=names.SAMPLE_APP.service,
        image=site.images["sample-app"],
        command=("payment_service",),
        env={
            "PAYMENT_DB_HOST": names.POSTGRES.service,
            "PAYMENT_OTLP_ENDPOINT": "http://collector:4318",
            "PAYMENT_ENVIRONMENT": site.stack,
            "PAYMENT_INCIDENT_RUNNER_URL": "http://incident-runner:8070/trigger-incident",
            "PAYMENT_INCIDENT_RUNNER_TOKEN_FILE": f"/run/secrets/{names.INCIDENT_PRESENTER_TOKEN}",
            **(shared if several else {}),
        },
        files=(
            secret_file(names.PAYMENT_APP_PASSWORD),
            secret_file(names.NEXT_PAYMENT_APP_PASSWORD),
            secret_file(names.INCIDENT_PRESENTER_TOKEN),
        ),
        scratch=(Scratch(path="/tmp", size_mib=16),),  # noqa: S108
        ports=(
            Port(
                name=names.SAMPLE_APP.port,
                number=8000,
                exposure=Exposure.HOST,
                host_port=site.config.host_port("app_port"),
                host_port_key="appPort",
            ),
            Port(name=names.SAMPLE_APP_ADMIN.port, number=_ADMIN_PORT),
        ),
        probe=HttpProbe(port=names.SAMPLE_APP.port, path="/health/ready"),
        memory_mib=192,
        cpus=1,
        user=OWN_USER,
        needs=("database",),
        connects=(
            names.POSTGRES,
            names.COLLECTOR_HTTP,
            names.INCIDENT_RUNNER,
            *((names.SAMPLE_APP_ADMIN,) if several else ()),
        ),
        stop_grace_seconds=35 + (DRAIN_SECONDS if several else 0),
        peers=True,
    )


def traffic(site: Site) -> Service:
    """Open-model load over all routes of the payment service."""
    return Service(
        name=names.TRAFFIC.service,
        image=site.images["traffic"],
        command=("traffic",),
        env={
            "TRAFFIC_TARGET": "http://sample-app:8000",
            "TRAFFIC_RATE": str(site.config.traffic_rate),
            "TRAFFIC_SEED": str(site.config.traffic_seed),
        },
        scratch=(Scratch(path="/tmp", size_mib=16),),  # noqa: S108
        ports=(Port(name=names.TRAFFIC.port, number=8080),),
        probe=HttpProbe(port=names.TRAFFIC.port, path="/health"),
        memory_mib=128,
        cpus=1,
        user=OWN_USER,
        # Customers come when the shop opens: all that they asked for while the database is made would count as failed.
        needs=("database",),
        connects=(names.SAMPLE_APP,),
        stop_grace_seconds=5,
    )
