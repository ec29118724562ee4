"""What this project raises when a person has to do something about it.

    DemoError                 one clear sentence: what is wrong, where, what to do
    ├── ConfigError           a configuration key is unknown or its value is wrong
    ├── TopologyError         the topology contradicts itself (infra.topology.validate)
    ├── UnsupportedSpec       a target cannot honour a field of the topology (infra.targets)
    ├── EngineError           no usable Docker engine
    ├── ClusterError          no usable Kubernetes cluster, or it refused something (infra.targets.kubernetes)
    ├── ToolError             a tool could not be found, downloaded or built
    └── ImageError            an image could not be pulled or built

The command line prints the message and exits with 1; nothing else is ever shown to a user as a traceback.
"""

__all__ = ["ClusterError", "ConfigError", "DemoError", "EngineError", "ImageError", "ToolError"]


class DemoError(Exception):
    """A fault that a person can mend; its text is the whole message."""


class ConfigError(DemoError):
    """The stack's configuration is wrong."""


class EngineError(DemoError):
    """There is no Docker engine that this user may use."""


class ClusterError(DemoError):
    """There is no Kubernetes cluster that this user may use, or it refused what was asked of it."""


class ToolError(DemoError):
    """A tool that the demo needs cannot be had."""


class ImageError(DemoError):
    """An image that the demo needs cannot be had."""
