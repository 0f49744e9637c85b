"""What an installation has defined: datamarts, their channels in every version, and who may call. Pure."""
