"""The command line: thin around the tools, Pulumi's Automation API and the engine."""
