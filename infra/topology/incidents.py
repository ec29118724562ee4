"""The runner of the incidents, which agents must not know of."""

from infra.topology import names
from infra.topology.model import ExecProbe, Exposure, HttpProbe, Port, Scratch, Service, Volume
from infra.topology.payments import connection_limit
from infra.topology.site import Site, secret_file

__all__ = ["incident_runner"]

OWN_USER = 10001
_SECRETS = (
    names.DBA_PASSWORD,
    names.PAYMENTS_OWNER_PASSWORD,
    names.PAYMENT_APP_PASSWORD,
    names.NEXT_PAYMENT_APP_PASSWORD,
    names.INCIDENT_PRESENTER_TOKEN,
    names.INCIDENT_OWNER_TOKEN,
    names.GATEWAY_OPERATORS_TOKEN,
)


def incident_runner(site: Site) -> Service:
    """Starts incidents in the database, looks for their evidence as an agent would, and ends them."""
    return Service(
        name=names.INCIDENT_RUNNER.service,
        image=site.images["incident-runner"],
        command=("incidents.runner",),
        env={
            "RUNNER_DB_HOST": names.POSTGRES.service,
            "RUNNER_APP_ADMIN_URL": "http://sample-app:8001",
            "RUNNER_STACK": site.stack,
            "RUNNER_APP_CONNECTION_LIMIT": str(connection_limit(site)),
        },
        files=tuple(secret_file(name) for name in _SECRETS),
        volumes=(Volume(name="incident-runner-state", path="/var/lib/incident-runner", size_mib=64),),
        scratch=(Scratch(path="/tmp", size_mib=16),),  # noqa: S108
        ports=(
            Port(
                name=names.INCIDENT_RUNNER.port,
                number=8070,
                exposure=Exposure.HOST,
                host_port=site.config.host_port("runner_port"),
                host_port_key="runnerPort",
            ),
        ),
        # A target without probes of its own leaves those over HTTP to the gateway, which does not know of this one.
        probe=ExecProbe(command=("python", "-m", "incidents.runner.healthcheck")),
        own_probe=HttpProbe(port=names.INCIDENT_RUNNER.port, path="/ready"),
        memory_mib=96,
        cpus=0.5,
        user=OWN_USER,
        needs=("database",),
        connects=(
            names.POSTGRES,
            names.SAMPLE_APP_ADMIN,
            names.GATEWAY,
            names.GATEWAY_TRACES,
            names.GATEWAY_LOKI,
            names.GATEWAY_PROMETHEUS,
        ),
        known_to_agents=False,
    )
