"""The status page: what a person sees of the stack without any other tool."""
