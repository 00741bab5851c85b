"""gunicorn's settings, for a gunicorn of your own: `gunicorn -c gunicorn.conf.py 'registry.wsgi:app()'`.

`k0rdentd registry` needs no such file: it sets the same values itself, and loads a bundle beside
the workers. The storage is taken from K0RDENTD_REGISTRY_STORAGE. `/metrics` and reloads that cut
nobody off are to be had with `k0rdentd registry` alone.
"""

bind = "0.0.0.0:5000"
worker_class = "registry.server.worker.RegistryWorker"
workers = 2
threads = 16
worker_connections = 4096
backlog = 4096
keepalive = 75
timeout = 120
graceful_timeout = 30
proc_name = "k0rdentd-registry"
control_socket_disable = True

# `sendfile` must stay unset: gunicorn 27.0.1 turns it off when it is set to True.
