"""The gunicorn side: the application it runs and the workers that run it."""
