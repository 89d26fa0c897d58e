"""Adapters with which other libraries run on nxlog. Each needs the extra that is named after its library."""
