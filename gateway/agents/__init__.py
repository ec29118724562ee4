"""What agents ask: tools over the back ends, in the dialects that agents speak."""
