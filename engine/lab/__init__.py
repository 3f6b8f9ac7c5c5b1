"""Finding out by trial: how the MTP layer is wired, and how far ahead it can guess."""
