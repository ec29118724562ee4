"""A resource provider for Pulumi's package ``kubernetes``, for networks where Pulumi's own plugin cannot be had.

It serves the kinds that the demo uses (``kinds.py``) and refuses others by name. docs/kubernetes-provider.md says
how it works and where it differs.

    wire        Pulumi's properties on the wire: secrets, unknown values
    kinds       the kinds that are served, and what of them cannot be changed in place
    paths       ways into JSON objects
    manifests   from inputs to what is applied, from a live object to outputs
    differences what an update would change
    comparing   what differs, as Pulumi's property paths
    access      the API server: one pool of connections, retries for a bounded time
    faults      what the API server says, as one sentence
    objects     get, apply, delete, list and watch of one object
    views       what is now in the cluster, kept up to date by watches
    pods        why a pod does not become ready
    readiness   when an object is ready, by kind
    waiting     waits for readiness or for the end of an object
    operations  create, read, update, delete, diff
    checking    checks of inputs and of the provider's configuration
    service     the methods of Pulumi's provider protocol
    serving     the same as a gRPC service
    partial_imports  a start without what nobody uses
"""
