"""The vocabulary of the OCI specifications as types; standard library only, so everyone may import it."""
