"""HTTP routes: reading a request, calling the domain, writing the answer."""
