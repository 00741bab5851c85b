"""Builds the executables: a runtime out of Debian's Python and locked wheels, and a file around it.

Nothing of this is part of the product: the wheel and the runtime leave it out.
"""
