"""Optuna's dashboard on the studies here, served to this machine; an extra."""

import contextlib
import warnings
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from cnnsearch.cli.show import check_free
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.study import listing
from cnnsearch.study.storage import storage_url


class Server(ThreadingMixIn, WSGIServer):
    """Answers a browser's requests side by side: one that is slow to compute holds up no other."""

    daemon_threads = True


class Quiet(WSGIRequestHandler):
    """Says nothing of each request."""

    def log_message(self, format: str, *what: object) -> None:
        """Nothing."""


def serve(host: str, port: int, runs: Path, storage: str) -> None:
    """Serve the dashboard until it is stopped; the address of the latest study is printed.

    Raises:
        CnnsearchError: if it is not installed, there is no study yet, or the port cannot be used.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise CnnsearchError(
            "Optuna's dashboard is not installed. Install it: pip install 'cnnsearch[dashboard]'"
        ) from error
    latest = listing.load(None, runs, storage)
    check_free(host, port)
    # what Optuna says of importances among few trials would fill the terminal
    warnings.simplefilter("ignore")
    # in this process, since an address with a password must not stand in the list of processes
    server = make_server(host, port, wsgi(storage_url(runs, storage)), Server, Quiet)
    page = f"http://{host}:{port}/dashboard/studies/{latest.optuna._study_id}"
    print(f"Optuna's dashboard, study '{latest.name}', on {page} (Ctrl-C ends it)", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
