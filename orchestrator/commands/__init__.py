"""What the commands do; the command line only reads options and prints what comes back."""
