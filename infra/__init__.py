"""The Pulumi program: configuration -> topology -> target -> outputs."""
