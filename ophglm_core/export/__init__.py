"""From torch weights to the local runtime's files, and the parity of both runtimes."""
