"""A small topology that has everything that the Kubernetes target renders."""

from cluster_objects import on_a_cluster

from infra.config import DemoConfig
from infra.stack_secrets import StackSecrets
from infra.topology.model import (
    Endpoint,
    ExecProbe,
    Exposure,
    File,
    HttpProbe,
    Image,
    Port,
    Scratch,
    SecretFile,
    SecretRef,
    Service,
    Sidecar,
    Task,
    Topology,
    Volume,
)

IMAGE = Image(repository="example/app", version="1.2.3")
OWN = Image(repository="demo/own", version="v4", built=True)
SQL = Endpoint("db", "sql")
DB = Service(
    name="db",
    image=IMAGE,
    command=("serve", "--fast"),
    files=(SecretFile(path="/run/secrets/db", secret=SecretRef("db-password")),),
    volumes=(Volume(name="data", path="/data", size_mib=10), Volume(name="logs", path="/logs", size_mib=2048)),
    scratch=(Scratch(path="/tmp", size_mib=2),),
    ports=(Port(name="sql", number=5432, exposure=Exposure.HOST, host_port=15432),),
    probe=ExecProbe(command=("ready", "-q"), deadline_seconds=33),
    memory_mib=128,
    cpus=1.5,
    user=999,
    stop_grace_seconds=7,
    sidecars=(
        Sidecar(
            name="db-logs",
            image=OWN,
            volumes=(Volume(name="logs", path="/var/log/db", size_mib=2048, read_only=True),),
            files=(File(path="/etc/logs.yaml", content="b: 2\n"),),
            memory_mib=32,
            cpus=0.5,
            user=999,
        ),
    ),
)
SCHEMA = Task(
    name="schema",
    image=OWN,
    memory_mib=64,
    cpus=1,
    user=10001,
    needs=("db",),
    connects=(SQL,),
    files=(SecretFile(path="/run/secrets/db", secret=SecretRef("db-password")),),
    deadline_seconds=77,
)
WEB = Service(
    name="web",
    image=OWN,
    entrypoint=("/bin/web",),
    env={"DB": SQL, "A": "1"},
    files=(File(path="/etc/web.yaml", content="a: 1\n"),),
    ports=(Port(name="http", number=80, exposure=Exposure.EDGE, host_port=18080),),
    probe=ExecProbe(command=("everything",), deadline_seconds=90),
    own_probe=HttpProbe(port="http", path="/ready"),
    memory_mib=64,
    cpus=1,
    user=10001,
    needs=("schema",),
    connects=(SQL,),
)
TOPOLOGY = Topology(workloads=(DB, SCHEMA, WEB))
SECRETS = StackSecrets("abcd1234", {"db-password": "very secret"})
CONFIG = on_a_cluster(DemoConfig(), owner="team-a", cost_center="4711", time_to_live_hours=4)
