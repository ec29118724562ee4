"""The payment service and the traffic that its customers make."""

from infra.topology import names
from infra.topology.model import Exposure, HttpProbe, Port, Scratch, Service
from infra.topology.site import Site, secret_file

__all__ = ["sample_app", "traffic"]

OWN_USER = 10001


def sample_app(site: Site) -> Service:
    """The payment service; ``payment-service`` in every signal."""
    return Service(
        name=names.SAMPLE_APP.service,
        image=site.images["sample-app"],
        command=("payment_service",),
        env={
            "PAYMENT_DB_HOST": names.POSTGRES.service,
            "PAYMENT_OTLP_ENDPOINT": "http://collector:4318",
            "PAYMENT_ENVIRONMENT": site.stack,
        },
        files=(secret_file(names.PAYMENT_APP_PASSWORD),),
        scratch=(Scratch(path="/tmp", size_mib=16),),  # noqa: S108
        ports=(
            Port(
                name=names.SAMPLE_APP.port,
                number=8000,
                exposure=Exposure.HOST,
                host_port=site.config.host_port("app_port"),
                host_port_key="appPort",
            ),
            Port(name=names.SAMPLE_APP_ADMIN.port, number=8001),
        ),
        probe=HttpProbe(port=names.SAMPLE_APP.port, path="/health/ready"),
        memory_mib=192,
        cpus=1,
        user=OWN_USER,
        needs=("database",),
        connects=(names.POSTGRES, names.COLLECTOR_HTTP),
        stop_grace_seconds=35,
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
        # Customers come when the shop is open: requests before would count as failed.
        needs=(names.SAMPLE_APP.service,),
        connects=(names.SAMPLE_APP,),
        stop_grace_seconds=5,
    )
