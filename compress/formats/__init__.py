"""Number formats: how integers and codes stand for reals."""
