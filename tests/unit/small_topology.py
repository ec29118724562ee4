"""A topology that has one of everything: a service with a sidecar and volumes, a task, a service with two ports."""

from infra.topology.model import (
    Endpoint,
    ExecProbe,
    Exposure,
    HttpProbe,
    Image,
    Port,
    Service,
    Sidecar,
    Task,
    Topology,
    Volume,
)

SQL = Endpoint("db", "sql")
PULLED = Image(repository="example/db", version="1.2.3")
BUILT = Image(repository="demo/web", version="abc", built=True)

DB = Service(
    name="db",
    image=PULLED,
    volumes=(Volume(name="data", path="/data", size_mib=100), Volume(name="logs", path="/logs", size_mib=50)),
    ports=(
        Port(name="sql", number=5432, exposure=Exposure.HOST, host_port=15432, host_port_key="postgresPort"),
        Port(name="metrics", number=9187),
    ),
    probe=ExecProbe(command=("ready",)),
    memory_mib=256,
    cpus=2,
    user=1,
    sidecars=(
        Sidecar(
            name="db-logs",
            image=PULLED,
            volumes=(Volume(name="logs", path="/logs", size_mib=50, read_only=True),),
            memory_mib=16,
            cpus=0.5,
            user=1,
        ),
    ),
)
SCHEMA = Task(name="schema", image=BUILT, memory_mib=32, cpus=1, user=1, needs=("db",), connects=(SQL,))
WEB = Service(
    name="web",
    image=BUILT,
    ports=(
        Port(name="http", number=80, exposure=Exposure.EDGE, host_port=18000, host_port_key="appPort"),
        Port(name="admin", number=81, exposure=Exposure.HOST, host_port=18001),
    ),
    probe=HttpProbe(port="http", path="/ready"),
    memory_mib=64,
    cpus=1,
    user=1,
    needs=("schema",),
    connects=(SQL,),
)
SECRETIVE = Service(
    name="secretive",
    image=BUILT,
    ports=(Port(name="http", number=82, exposure=Exposure.HOST, host_port=18002),),
    probe=ExecProbe(command=("ready",)),
    own_probe=HttpProbe(port="http", path="/ready"),
    memory_mib=64,
    cpus=1,
    user=1,
    known_to_agents=False,
)
"""What agents must not know of, and the gateway neither; no part of the topology below."""
TOPOLOGY = Topology(workloads=(DB, SCHEMA, WEB))
