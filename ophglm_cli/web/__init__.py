"""`ophglm serve`: the page for the consulting room, on this machine alone."""
