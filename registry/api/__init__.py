"""The distribution API: one file a resource, named as in the specification."""
