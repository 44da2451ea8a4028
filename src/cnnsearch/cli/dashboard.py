"""Optuna's dashboard on the studies here, for `cnnsearch ui --optuna`; an extra."""

import contextlib
import warnings
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from cnnsearch.cli.server_address import check_free
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.study import listing
from cnnsearch.study.storage import storage_url


class Server(ThreadingMixIn, WSGIServer):
    """Answers a browser's requests in parallel, so that a slow one does not delay the others."""

    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    """Does not print the requests."""

    def log_message(self, format: str, *what: object) -> None:
        """Print nothing."""


def serve(host: str, port: int, runs: Path, storage: str) -> None:
    """Serve the dashboard until it is stopped, and print the address of the latest study.

    Raises:
        CnnsearchError: if the dashboard is not installed, there is no study yet, or the port cannot be used.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise CnnsearchError(
            "Optuna's dashboard is not installed. Install it: pip install 'cnnsearch[dashboard]'"
        ) from error
    latest = listing.load(None, runs, storage)
    check_free(host, port)
    # with few trials Optuna warns about importances at each request
    warnings.simplefilter("ignore")
    # in this process: the list of processes shows arguments, and the address can contain a password
    server = make_server(host, port, wsgi(storage_url(runs, storage)), Server, QuietHandler)
    page = f"http://{host}:{port}/dashboard/studies/{latest.optuna._study_id}"
    print(f"Optuna's dashboard, study '{latest.name}', on {page} (Ctrl-C stops it)", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
