"""Logs and traces: the Collector and the stores behind it."""

from infra.topology import names
from infra.topology.model import Exposure, HttpProbe, Port, Scratch, Service, Volume
from infra.topology.site import Site

__all__ = ["collector", "jaeger", "loki", "tempo"]

OWN_USER = 10001


def loki(site: Site) -> Service:
    """Logs, kept for 24 h."""
    return Service(
        name=names.LOKI.service,
        image=site.images["loki"],
        command=("-config.file=/etc/loki/loki.yaml",),
        env={"GOMEMLIMIT": "56MiB"},
        files=(site.file("/etc/loki/loki.yaml", "loki/loki.yaml"),),
        volumes=(Volume(name="loki", path="/loki", size_mib=1024),),
        # Where its retention notes the chunks to delete; without it nothing is ever deleted.
        scratch=(Scratch(path="/tmp", size_mib=16),),  # noqa: S108
        ports=(Port(name=names.LOKI.port, number=3100),),
        probe=HttpProbe(port=names.LOKI.port, path="/ready"),
        memory_mib=256,
        cpus=1,
        user=OWN_USER,
    )


def collector(site: Site) -> Service:
    """OTLP in; traces to the trace store, logs to Loki."""
    traces = names.TEMPO_OTLP if site.upstream else names.JAEGER_OTLP
    return Service(
        name=names.COLLECTOR_GRPC.service,
        image=site.images["collector"],
        command=("--config=/etc/otelcol/collector.yaml",),
        env={"TRACES_ENDPOINT": traces, "GOGC": "50", "GOMEMLIMIT": "144MiB"},
        files=(site.file("/etc/otelcol/collector.yaml", "collector/collector.yaml"),),
        ports=(
            Port(
                name=names.COLLECTOR_GRPC.port,
                number=4317,
                exposure=Exposure.HOST,
                host_port=site.config.host_port("otlp_grpc_port"),
                host_port_key="otlpGrpcPort",
            ),
            Port(
                name=names.COLLECTOR_HTTP.port,
                number=4318,
                exposure=Exposure.HOST,
                host_port=site.config.host_port("otlp_http_port"),
                host_port_key="otlpHttpPort",
            ),
            Port(name=names.COLLECTOR_METRICS.port, number=8888),
            Port(name="health", number=13133),
        ),
        probe=HttpProbe(port="health", path="/"),
        # Room for the queues: minutes of traces and logs while a store is away.
        memory_mib=192,
        cpus=1,
        user=OWN_USER,
        connects=(traces, names.LOKI),
    )


def jaeger(site: Site) -> Service:
    """Traces of the packages distribution."""
    return Service(
        name=names.JAEGER.service,
        image=site.images["jaeger"],
        command=("--config=/etc/jaeger/jaeger.yaml",),
        env={
            "GOGC": "40",
            "GOMEMLIMIT": "64MiB",
            "TRACES_KEPT": f"{_traces_kept_seconds(site.config.traffic_rate)}s",
            "OTEL_TRACES_SAMPLER": "parentbased_always_off",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317",
        },
        files=(site.file("/etc/jaeger/jaeger.yaml", "jaeger/jaeger.yaml"),),
        volumes=(Volume(name="jaeger", path="/badger", size_mib=1024),),
        ports=(
            Port(name=names.JAEGER.port, number=16686),
            Port(name=names.JAEGER_OTLP.port, number=4318),
            Port(name=names.JAEGER_METRICS.port, number=8888),
            Port(name="health", number=13133),
        ),
        probe=HttpProbe(port="health", path="/status"),
        memory_mib=256,
        cpus=1,
        user=OWN_USER,
    )


def _traces_kept_seconds(rate: int) -> int:
    """How long Jaeger keeps spans: at 20 requests/s 40 minutes, some 320 MB and half as much to be compacted."""
    return max(60, min(2400, 48_000 // rate))


def tempo(site: Site) -> Service:
    """Traces of the upstream distribution."""
    return Service(
        name=names.TEMPO.service,
        image=site.images["tempo"],
        command=("-config.file=/etc/tempo/tempo.yaml", "-target=all"),
        env={
            "OTEL_TRACES_SAMPLER": "parentbased_always_off",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
        },
        files=(site.file("/etc/tempo/tempo.yaml", "tempo/tempo.yaml"),),
        volumes=(Volume(name="tempo", path="/var/tempo", size_mib=2048),),
        ports=(Port(name=names.TEMPO.port, number=3200), Port(name=names.TEMPO_OTLP.port, number=4318)),
        probe=HttpProbe(port=names.TEMPO.port, path="/ready"),
        memory_mib=1024,
        cpus=1,
        user=OWN_USER,
    )
