"""Prometheus, Alertmanager and the database's exporter."""

from infra.topology import names
from infra.topology.model import Endpoint, HttpProbe, Port, Service, Volume
from infra.topology.site import Site, secret_file

__all__ = ["alertmanager", "postgres_exporter", "prometheus"]

NOBODY = 65534
_MOST_SAMPLES, _MOST_QUERIES = 1_000_000, 8


# One lock on a table makes its size unreadable, and all collectors share one connection: without the time-outs a
# single ALTER TABLE would blind the whole exporter for a minute.
_EXPORTER_URI = (
    "postgres:5432/payments?sslmode=disable&application_name=postgres_exporter&lock_timeout=100&statement_timeout=3000"
)


def postgres_exporter(site: Site) -> Service:
    """The database's own figures."""
    return Service(
        name=names.POSTGRES_EXPORTER.service,
        image=site.images["postgres-exporter"],
        command=(
            "--collector.long_running_transactions",
            "--collector.stat_statements",
            *(("--collector.stat_checkpointer",) if site.upstream else ()),
            "--log.level=warn",
        ),
        env={
            "DATA_SOURCE_URI": _EXPORTER_URI,
            "DATA_SOURCE_USER": "postgres_exporter",
            "DATA_SOURCE_PASS_FILE": f"/run/secrets/{names.POSTGRES_EXPORTER_PASSWORD}",
        },
        files=(secret_file(names.POSTGRES_EXPORTER_PASSWORD),),
        ports=(Port(name=names.POSTGRES_EXPORTER.port, number=9187),),
        probe=HttpProbe(port=names.POSTGRES_EXPORTER.port, path="/"),
        memory_mib=64,
        cpus=0.5,
        user=NOBODY,
        needs=("database",),
        connects=(names.POSTGRES,),
        stop_grace_seconds=2,
    )


def prometheus(site: Site) -> Service:
    """Scrapes everything; 24 h or 512 MB, whichever comes first."""
    scraped: list[Endpoint] = [
        names.SAMPLE_APP,
        names.TRAFFIC,
        names.GATEWAY_INTERNAL,
        names.POSTGRES_EXPORTER,
        names.LOKI,
        names.COLLECTOR_METRICS,
        names.POSTGRES_LOGS_METRICS,
        names.ALERTMANAGER,
        *((names.TEMPO, names.GRAFANA, names.MCP_GRAFANA) if site.upstream else (names.JAEGER_METRICS,)),
    ]
    jobs = (
        "sample-app-replicas" if site.most_sample_apps > 1 else "sample-app",
        "gateway-replicas" if site.most_gateways > 1 else "gateway",
        *(("tempo", "grafana") if site.upstream else ("jaeger",)),
    )
    return Service(
        name=names.PROMETHEUS.service,
        image=site.images["prometheus"],
        command=(
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            "--storage.tsdb.retention.time=24h",
            "--storage.tsdb.retention.size=512MB",
            "--enable-feature=exemplar-storage",
            # Targets are known one second after the start instead of five.
            "--scrape.discovery-reload-interval=1s",
            # 16 bytes for a sample, times the queries at a time: half of the memory, should all reach the limit.
            f"--query.max-samples={_MOST_SAMPLES}",
            "--query.timeout=30s",
            f"--query.max-concurrency={_MOST_QUERIES}",
            "--log.level=warn",
        ),
        files=(
            site.file("/etc/prometheus/prometheus.yml", "prometheus/prometheus.yml"),
            *site.folder("/etc/prometheus/rules", "prometheus/rules"),
            *(site.file(f"/etc/prometheus/scrape/{job}.yml", f"prometheus/scrape/{job}.yml") for job in jobs),
        ),
        volumes=(Volume(name="prometheus", path="/prometheus", size_mib=1024),),
        ports=(Port(name=names.PROMETHEUS.port, number=9090),),
        probe=HttpProbe(port=names.PROMETHEUS.port, path="/-/ready"),
        memory_mib=256,
        cpus=1,
        user=NOBODY if site.upstream else 10001,
        # To the Collector twice: for its figures, and with the spans of questions.
        connects=(*scraped, names.COLLECTOR_HTTP),
    )


def alertmanager(site: Site) -> Service:
    """Groups alerts and hands them to the gateway."""
    return Service(
        name=names.ALERTMANAGER.service,
        image=site.images["alertmanager"],
        command=(
            "--config.file=/etc/alertmanager/alertmanager.yml",
            "--storage.path=/alertmanager",
            "--cluster.listen-address=",
            "--data.retention=24h",
            "--log.level=warn",
        ),
        files=(site.file("/etc/alertmanager/alertmanager.yml", "alertmanager/alertmanager.yml"),),
        volumes=(Volume(name="alertmanager", path="/alertmanager", size_mib=64),),
        ports=(Port(name=names.ALERTMANAGER.port, number=9093),),
        probe=HttpProbe(port=names.ALERTMANAGER.port, path="/-/ready"),
        memory_mib=64,
        cpus=0.5,
        user=NOBODY,
        connects=(names.GATEWAY_INTERNAL,),
    )
