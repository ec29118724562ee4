"""PostgreSQL with its log reader, and the task that makes its roles, schema and data."""

from infra.topology import names
from infra.topology.model import Endpoint, ExecProbe, Exposure, HttpProbe, Port, Scratch, Service, Sidecar, Task, Volume
from infra.topology.payments import connection_limit
from infra.topology.site import Site, secret_file

__all__ = ["POSTGRES_USER", "database_task", "postgres"]

POSTGRES_USER = 999
_LOGS = "postgres-logs"


def postgres(site: Site) -> Service:
    """The database, and beside it the reader and the pruner of its log files."""
    config = site.file("/etc/postgresql/postgresql.conf", "postgres/postgresql.conf")
    return Service(
        name=names.POSTGRES.service,
        image=site.images["postgres"],
        command=("postgres", "-c", f"config_file={config.path}"),
        env={
            "POSTGRES_PASSWORD_FILE": f"/run/secrets/{names.POSTGRES_PASSWORD}",
            # The first start makes an empty cluster; if it is interrupted it is made again, so nothing needs syncing.
            "POSTGRES_INITDB_ARGS": "--no-sync --locale=C.UTF-8 --data-checksums",
        },
        files=(config, secret_file(names.POSTGRES_PASSWORD)),
        volumes=(
            Volume(name="postgres-data", path="/var/lib/postgresql", size_mib=4096),
            _log_volume(),
        ),
        scratch=(
            Scratch(path="/var/run/postgresql", size_mib=1),
            Scratch(path="/tmp", size_mib=16),  # noqa: S108
        ),
        ports=(
            Port(
                name=names.POSTGRES.port,
                number=5432,
                exposure=Exposure.HOST,
                host_port=site.config.host_port("postgres_port"),
                host_port_key="postgresPort",
            ),
        ),
        probe=ExecProbe(command=("pg_isready", "--host=127.0.0.1", "--username=postgres", "--quiet")),
        memory_mib=288,
        cpus=2,
        user=POSTGRES_USER,
        stop_grace_seconds=20,
        sidecars=(_log_reader(site), _log_pruner(site)),
    )


def _log_volume() -> Volume:
    return Volume(name=_LOGS, path="/var/log/postgresql", size_mib=256)


def _log_reader(site: Site) -> Sidecar:
    """A small Collector that reads the JSON log files and pushes them to Loki."""
    config = site.file("/etc/otelcol/postgres-logs.yaml", "collector/postgres-logs.yaml")
    return Sidecar(
        name=_LOGS,
        image=site.images["collector"],
        command=(f"--config={config.path}", "--feature-gates=stanza.synchronousLogEmitter"),
        env={"GOGC": "50"},
        files=(config,),
        volumes=(_log_volume(),),
        memory_mib=96,
        cpus=0.5,
        user=POSTGRES_USER,
        ports=(Port(name="health", number=13133), Port(name="metrics", number=8888)),
        probe=HttpProbe(port="health", path="/"),
        connects=(names.LOKI,),
    )


def _log_pruner(site: Site) -> Sidecar:
    """PostgreSQL rotates its log files but never bounds their sum; this does."""
    script = site.file("/etc/postgresql/prune-logs.sh", "postgres/prune-logs.sh")
    return Sidecar(
        name="postgres-log-pruner",
        image=site.images["postgres"],
        entrypoint=("/bin/bash", script.path),
        files=(script,),
        volumes=(_log_volume(),),
        scratch=(Scratch(path="/tmp", size_mib=1),),  # noqa: S108
        probe=ExecProbe(command=("/bin/bash", script.path, "--alive")),
        memory_mib=32,
        cpus=0.25,
        user=POSTGRES_USER,
        stop_grace_seconds=2,
    )


def database_task(site: Site) -> Task:
    """Makes roles, database, schema and data; finds nothing to do when they are there."""
    passwords = (
        names.POSTGRES_PASSWORD,
        names.PAYMENTS_OWNER_PASSWORD,
        names.PAYMENT_APP_PASSWORD,
        names.POSTGRES_EXPORTER_PASSWORD,
        names.DBA_PASSWORD,
    )
    database = Endpoint("postgres", "sql")
    return Task(
        name="database",
        image=site.images["sample-app"],
        command=("payment_service.database",),
        env={
            "PAYMENT_DB_HOST": database.service,
            "PAYMENT_SEED_PAYMENTS": str(site.config.seed_payments),
            **({"PAYMENT_APP_CONNECTION_LIMIT": str(connection_limit(site))} if site.most_sample_apps > 1 else {}),
        },
        files=tuple(secret_file(name) for name in passwords),
        memory_mib=128,
        cpus=1,
        user=10001,
        needs=("postgres",),
        connects=(database,),
        # Generous for the largest seed; the default one takes well under half a minute.
        deadline_seconds=300 + site.config.seed_payments // 10_000,
    )
